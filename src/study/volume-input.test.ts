import { describe, expect, it } from "vitest";
import { chooseSettings } from "./settings.ts";
import { defaultVolumeInput, volumeInputOf, volumeText } from "./volume-input.ts";

const refused = expect.objectContaining({ code: "LG-USAGE-001" }) as Error;

describe("volumeInputOf", () => {
  it("nothingSaid_isTheDefault", () => {
    expect(volumeInputOf({})).toEqual(defaultVolumeInput);
  });

  it("numbersAndNames_areRead", () => {
    expect(
      volumeInputOf({ window: "-100,300", spacing: "5, 2.5,2.5", volumeShape: "32,48,64", about: "body" }),
    ).toEqual({
      windowHu: [-100, 300],
      spacingMm: [5, 2.5, 2.5],
      shape: [32, 48, 64],
      about: "body",
    });
    // Centre -600 and width 1500 (imaging/volume.ts).
    expect(volumeInputOf({ window: "lung", spacing: "4" })).toMatchObject({
      windowHu: [-1350, 150],
      spacingMm: [4, 4, 4],
    });
  });

  it.each([
    { window: "240,-160" },
    { window: "1,2,3" },
    { window: "12" },
    { window: "wide" },
    { window: "constructor" },
    { window: "0x10,20" },
    { spacing: "0" },
    { spacing: "1,2" },
    { spacing: "-1" },
    { spacing: "" },
    { volumeShape: "32" },
    { volumeShape: "32,32,4" },
    { volumeShape: "32,32,32.5" },
    { volumeShape: "32,32,1000" },
  ])("%o_isRefused", (choices) => {
    expect(() => volumeInputOf(choices)).toThrow(refused);
  });

  it("inWords", () => {
    const input = { shape: [8, 9, 10], spacingMm: [5, 2, 2], windowHu: [-160, 240], about: "body" } as const;
    expect(volumeText(input)).toBe(
      "volumes of 8 x 9 x 10 voxels (z, y, x) at 5 x 2 x 2 mm about the middle of the body, -160 to 240 HU",
    );
    expect(volumeText({ ...input, spacingMm: [6, 6, 6], about: { beforeBackMm: 104 } })).toMatch(
      /at 6 mm about the middle line, 104 mm before the back,/,
    );
  });
});

describe("settings of volumes", () => {
  const size = { units: 200, images: 290, medium: "volumes" } as const;
  const images = { units: 200, images: 290 };

  it.each([{}, { epsilon: 8 }])("inputIsChosenAndSaid_andOrgansAreNotMirrored: %o", (choices) => {
    const chosen = chooseSettings(choices, size, false);
    expect(chosen).toMatchObject({ imageSize: null, volume: defaultVolumeInput });
    expect(chosen.augmentation.flipHorizontal ?? false).toBe(false);
    expect(chosen.reasons).toContain(volumeText(defaultVolumeInput));
  });

  it("optionsAndModelsOfTheOtherMedium_areRefused", () => {
    expect(() => chooseSettings({ imageSize: 64 }, size, false)).toThrow(refused);
    expect(() => chooseSettings({ model: "resnet9" }, size, false)).toThrow(refused);
    expect(() => chooseSettings({ model: "texture", epsilon: 8 }, size, false)).toThrow(refused);
    for (const choices of [
      { window: "lung" },
      { spacing: "4" },
      { volumeShape: "32,32,32" },
      { about: "body" as const },
      { model: "resnet3d" },
    ])
      expect(() => chooseSettings(choices, images, false)).toThrow(refused);
  });
});
