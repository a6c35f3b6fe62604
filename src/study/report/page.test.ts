import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { html, htmlTable, page, raw } from "./page.ts";

describe("html", () => {
  it("values_areEscapedAndMarkupIsNot", () => {
    expect(html`<p title="${'"x"'}">${"<b>&'"} ${html`<i>${1}</i>`}${[raw("<hr>"), "<"]}</p>`.text).toBe(
      '<p title="&quot;x&quot;">&lt;b&gt;&amp;&#39; <i>1</i><hr>&lt;</p>',
    );
  });
});

describe("page", () => {
  it("loadsNothingFromAnywhere", () => {
    const text = page("<title>", html`${htmlTable(["", "a"], [["row", html`<b>x</b>`]])}`);
    const { document } = parseHTML(text);
    expect(document.querySelectorAll("script, link, img[src^='http'], iframe")).toHaveLength(0);
    expect(document.title).toBe("<title>");
    expect([...document.querySelectorAll("th")].map((cell) => cell.getAttribute("scope"))).toEqual(["col", "row"]);
  });
});
