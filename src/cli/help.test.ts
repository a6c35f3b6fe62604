import { runCommand, type CommandDef } from "citty";
import { afterEach, describe, expect, it, vi } from "vitest";
import { HelpWanted } from "./command.ts";
import { accountantBatch, accountantEpsilon, accountantNoise, accountantSteps } from "./commands/accountant-epsilon.ts";
import { accountantMeaning } from "./commands/accountant-meaning.ts";
import { audit } from "./commands/audit.ts";
import { auditMembershipCommand } from "./commands/audit-membership.ts";
import { cohortCheck } from "./commands/cohort-check.ts";
import { cohortMake } from "./commands/cohort-make.ts";
import { demo } from "./commands/demo.ts";
import { report } from "./commands/report.ts";
import { evaluate } from "./commands/evaluate.ts";
import { exportCommand } from "./commands/export.ts";
import { ledger } from "./commands/ledger.ts";
import { ledgerShow, ledgerVerify } from "./commands/ledger-show.ts";
import { predict } from "./commands/predict.ts";
import { synth } from "./commands/synth.ts";
import { synthJudge } from "./commands/synth-judge.ts";
import { trainCommand } from "./commands/train.ts";

afterEach(() => vi.restoreAllMocks());

async function helpOf(command: CommandDef): Promise<string> {
  let text = "";
  vi.spyOn(process.stdout, "write").mockImplementation((part) => ((text += String(part)), true));
  try {
    await runCommand(command, { rawArgs: ["--help"] });
  } catch (error) {
    if (!(error instanceof HelpWanted)) throw error;
    text = error.text;
  }
  return text;
}

describe("help says what a command does, its options, and an example", () => {
  it("demo", async () => {
    expect(await helpOf(demo)).toMatchInlineSnapshot(`
      "Runs a study of phantom patients: trains without and with differential privacy, on encodings and on
      synthetic images, attacks what would be shared, and writes a report that says which way to go.
      Minutes on two cores.

      Usage: leadglass demo [options]

      Options:
        --out DIR     where to; numbered where it exists (leadglass-demo unless given)
        --patients N  how many patients to draw (360 unless given)
        --json        print one JSON document and nothing else on standard output
        --help        print this help

      Examples:
        leadglass demo
        leadglass demo --out /tmp/demo --json
      "
    `);
  });

  it("report", async () => {
    expect(await helpOf(report)).toMatchInlineSnapshot(`
      "Draws a study's folder as one page: the question and the answer in plain words, utility against
      privacy, fairness, attacks, every access to the patients, limits, and how to do it again. The page
      loads nothing from anywhere; the same stands in report.json for machines.

      Usage: leadglass report DIR [options]

      Options:
        --json  print one JSON document and nothing else on standard output
        --help  print this help

      The page holds figures and pictures without noise: it stays with the data's owner.

      Examples:
        leadglass report compared
        leadglass report compared --json
      "
    `);
  });

  it("cohort make", async () => {
    expect(await helpOf(cohortMake)).toMatchInlineSnapshot(`
      "Draws a phantom cohort: images with labels, age, sex, comorbidity and hospital, several images a
      patient, split by patient.

      Usage: leadglass cohort make --out DIR [options]

      Options:
        --out DIR                 the folder to write; it must not exist (required)
        --kind chest|mass|volume  what is drawn (mass unless given)
        --patients N              how many patients, at least 10 (360 unless given)
        --seed S                  the same seed draws the same patients (0 unless given)
        --image-size PIXELS       side of an image; each kind has its own
        --difficulty X            from 0, plain to see, to 1, close to chance (0.5 unless given)
        --json                    print one JSON document and nothing else on standard output
        --help                    print this help

      Example:
        leadglass cohort make --kind mass --patients 360 --seed 1 --out masses
      "
    `);
  });

  it("cohort check", async () => {
    expect(await helpOf(cohortCheck)).toMatchInlineSnapshot(`
      "Reads every image of a cohort once: counts by split, label, sex and age, and everything that is
      wrong, with its place and remedy.

      Usage: leadglass cohort check DIR [options]

      Options:
        --against OTHER  also look for patients that are in this other cohort, by name and by nearly
                         identical images
        --show-names     name files in messages; a file name may hold a record number
        --json           print one JSON document and nothing else on standard output
        --help           print this help

      Exits with 3 where something keeps the cohort from being used. Small counts identify people: keep
      the output.

      Example:
        leadglass cohort check masses
      "
    `);
  });

  it("train", async () => {
    expect(await helpOf(trainCommand)).toMatchInlineSnapshot(`
      "Trains a model on a cohort's train split; with --epsilon under differential privacy; or on
      hospitals' releases of encodings. What is not given is chosen for the cohort's size and the budget,
      and said.

      Usage: leadglass train --out RUN [options]

      Options:
        --cohort DIR                    the cohort's folder
        --release RELEASE[,...]         in place of a cohort: a release of encodings; several for one
                                        model on their union
        --target COLUMN[,...]           what to learn: a column of 0, 1 and blank, or COLUMN=VALUE;
                                        several for one model with several answers
        --out RUN                       the run's folder; it must not exist, unless --resume (required)
        --profile reference             settings of the reference study (Tayebi Arasteh et al. 2024) for
                                        what is not given, to compare with it
        --epsilon E                     train privately within this epsilon
        --delta D                       and this delta; chosen from the number of patients
        --unit patient|image            whose privacy: everything of a patient, or each image
        --relation add-remove|replace   cohorts that must look alike: one unit more or less, or one
                                        exchanged for another
        --sampling poisson|truncated-poisson|full|shuffle
                                        how units come into a step
        --batch-cap N                   the most units of a step, with truncated-poisson
        --clipping flat|per-layer|automatic|adaptive
                                        how a unit's gradient is bounded
        --clip-norm C                   the most one unit may add to a step
        --model NAME                    the architecture
        --features FILE                 an ONNX model as frozen feature extractor, run once for each
                                        image; --model is then its head: linear, two-layer
        --image-size PIXELS             side that images are brought to
        --window LOW,HIGH               Hounsfield units that volumes are cut off at, or abdomen, lung,
                                        bone, brain
        --spacing MM                    distance between voxels that volumes are brought to, or Z,Y,X
        --volume-shape D,H,W            voxels of the box that volumes are cut to
        --about volume|body|pancreas    what lies in the middle of that box
        --views V                       views of a unit in one step
        --batch B                       units of a step; under privacy the expected number
        --epochs N                      passes over the training units
        --lr R                          learning rate
        --optimizer sgd|adam|adamw|nadam
                                        the update rule
        --averaging D                   decay of the average over steps that becomes the model's weights;
                                        0 keeps the last ones
        --init-from RUN                 start from another run's weights, or a .safetensors file of
                                        torchvision's or timm's, where names and sizes agree
        --init-cohort DIR               the cohort that run was trained on, if it has moved: patients of
                                        both are refused
        --freeze NAME[,...]             parameters that are not trained; a star stands for any text, as in
                                        conv*.weight
        --validation private|public     public where the validation patients need no protection: threshold
                                        and AUROC are then taken without noise
        --best-of K                     keep the best of K states of the training, as the validation
                                        patients have it; by a noisy maximum unless they are public
        --positive-weights              weigh positives by how many negatives there are to each; privately
                                        from counts with noise
        --ledger DIR                    the folder of ledgers; LEADGLASS_LEDGERS, or the nearest one
                                        beside or above the run, unless given
        --seed S                        repeat exactly; not for private models that leave the house
        --resume                        go on with a run that was interrupted
        --device cpu|webgpu|cuda        where to compute (cpu unless given)
        --synthetic DIR                 a cohort of synthetic images to learn from too; what their
                                        generator cost is added, or said to be unknown
        --synthetic-use pool|beside     in the pool, as units; or beside it, by their exact gradient,
                                        which needs no noise: beside unless given
        --synthetic-weight W            what that gradient counts, the pool's being 1
        --json                          print one JSON document and nothing else on standard output
        --help                          print this help

      Ctrl-C saves a checkpoint and exits with 5; the same command with --resume goes on, and ends as if
      nothing had happened.

      Examples:
        leadglass train --cohort masses --target malignant --out runs/open
        leadglass train --cohort masses --target malignant --out runs/private --epsilon 8 --delta 1e-4
        leadglass train --cohort masses --target malignant --out runs/private --resume
        leadglass train --release north --release river --target pneumonia --out runs/union
      "
    `);
  });

  it("evaluate", async () => {
    expect(await helpOf(evaluate)).toMatchInlineSnapshot(`
      "Evaluates a finished run on a split: metrics with 95 % intervals, resampled by patient, overall and
      by group, at the threshold that was chosen on validation. Writes nothing but an entry in the
      cohort's ledger.

      Usage: leadglass evaluate --run RUN [options]

      Options:
        --run RUN                  the run's folder (required)
        --cohort DIR               the cohort's folder
        --encodings RELEASE[,...]  in place of a cohort, for a run on releases: the release, or several
        --split NAME               the split, or all (test unless given)
        --group COLUMN[,...]       also by a column, in bands (age:18,40,60,75), or by several at once
                                   (sex+age:60)
        --profile reference        also as the reference study (Tayebi Arasteh et al. 2024) evaluates, to
                                   compare with its tables
        --release                  leave out the numbers of groups that are too small to be published
        --json                     print one JSON document and nothing else on standard output
        --help                     print this help

      Examples:
        leadglass evaluate --run runs/private --cohort masses
        leadglass evaluate --run runs/union --encodings north --encodings river
        leadglass evaluate --run runs/private --cohort masses --group sex --group age:18,40,60,75 --json
      "
    `);
  });

  it("predict", async () => {
    expect(await helpOf(predict)).toMatchInlineSnapshot(`
      "Writes a finished run's answer for every image: file_name, patient_id, split, and for each target
      its probability and 0 or 1 at the threshold that was chosen on validation.

      Usage: leadglass predict --run RUN --out FILE [options]

      Options:
        --run RUN            the run's folder (required)
        --cohort DIR         the cohort's folder
        --encodings RELEASE  in place of a cohort, for a run on releases
        --out FILE           where to write: .csv or .parquet; it must not exist (required)
        --split NAME         the split, or all (test unless given)
        --json               print one JSON document and nothing else on standard output
        --help               print this help

      Examples:
        leadglass predict --run runs/private --cohort masses --out predictions.csv
        leadglass predict --run runs/private --cohort masses --split all --out predictions.parquet
      "
    `);
  });

  it("export", async () => {
    expect(await helpOf(exportCommand)).toMatchInlineSnapshot(`
      "Writes a finished run's model as one ONNX file for any server: grey pixels from 0 to 1 as image
      [rows, channels, height, width] in (of volumes [rows, 1, depth, height, width]), logits and
      probabilities [rows, targets] out.

      Usage: leadglass export --run RUN --out FILE [options]

      Options:
        --run RUN   the run's folder (required)
        --out FILE  where to write: a name that ends in .onnx (required)
        --rows N    images that one call takes (1 unless given)
        --json      print one JSON document and nothing else on standard output
        --help      print this help

      Example:
        leadglass export --run runs/private --out malignant.onnx
      "
    `);
  });

  it("accountant epsilon", async () => {
    expect(await helpOf(accountantEpsilon)).toMatchInlineSnapshot(`
      "The epsilon of steps that draw units by independent coins, clip them, and add Gaussian noise to
      their sum.

      Usage: leadglass accountant epsilon --sampling-probability Q --steps T --delta D --noise-multiplier S [options]

      Options:
        --sampling-probability Q       probability with which a unit joins a step (required)
        --steps T                      how many steps (required)
        --delta D                      the delta of the guarantee (required)
        --accountant pld|rdp|gaussian  pld is tight; rdp a looser cross-check; gaussian exact, for
                                       probability 1 only (pld unless given)
        --relation add-remove|replace  two cohorts differ by one unit more or less, or by one exchanged
                                       (add-remove unless given)
        --noise-multiplier S           standard deviation of the noise, divided by the most one unit adds
                                       (required)
        --json                         print one JSON document and nothing else on standard output
        --help                         print this help

      The guarantee is the upper number; the lower one says how far from the truth it can be, where that
      is known.

      Example:
        leadglass accountant epsilon --sampling-probability 0.01 --noise-multiplier 1 --steps 1000 --delta 1e-5
      "
    `);
  });

  it("accountant meaning", async () => {
    expect(await helpOf(accountantMeaning)).toMatchInlineSnapshot(`
      "What a guarantee means in an attacker's terms: the most he can reach who holds the model, knows the
      method, and knows everybody else's data.

      Usage: leadglass accountant meaning [options]

      Options:
        --epsilon E                    the guarantee, with --delta
        --delta D                      the delta of the guarantee
        --noise-multiplier S           instead of --epsilon: the noise, divided by the most one unit adds
        --sampling-probability Q       probability with which a unit joins a step
        --steps T                      how many steps
        --relation add-remove|replace  two cohorts differ by one unit more or less, or by one exchanged
                                       (add-remove unless given)
        --share P                      share of members among those whom the attacker tests (0.1 unless
                                       given)
        --images-per-patient K         the plan protects single images, and a patient has up to K: say
                                       what that is for a patient
        --json                         print one JSON document and nothing else on standard output
        --help                         print this help

      With --sampling-probability and --steps the figures are those of the plan itself. With --epsilon and
      --delta alone they are those of the worst mechanism that keeps them, which can be much more.

      Examples:
        leadglass accountant meaning --epsilon 8 --delta 1e-4
        leadglass accountant meaning --epsilon 8 --delta 1e-4 --sampling-probability 1 --steps 100
        leadglass accountant meaning --noise-multiplier 5 --sampling-probability 0.1 --steps 400 --delta 1e-4 --images-per-patient 4
      "
    `);
  });

  it("accountant steps", async () => {
    expect(await helpOf(accountantSteps)).toMatchInlineSnapshot(`
      "The most steps that stay within an epsilon with a given noise.

      Usage: leadglass accountant steps --epsilon E --delta D --sampling-probability Q --noise-multiplier S [options]

      Options:
        --epsilon E                    what the steps may cost together (required)
        --delta D                      the delta of the guarantee (required)
        --sampling-probability Q       probability with which a unit joins a step (required)
        --noise-multiplier S           standard deviation of the noise, divided by the most one unit adds
                                       (required)
        --accountant pld|rdp|gaussian  pld is tight; rdp a looser cross-check; gaussian exact, for
                                       probability 1 only (pld unless given)
        --relation add-remove|replace  two cohorts differ by one unit more or less, or by one exchanged
                                       (add-remove unless given)
        --json                         print one JSON document and nothing else on standard output
        --help                         print this help

      Example:
        leadglass accountant steps --epsilon 3 --delta 1e-5 --sampling-probability 0.01 --noise-multiplier 1
      "
    `);
  });

  it("accountant batch", async () => {
    expect(await helpOf(accountantBatch)).toMatchInlineSnapshot(`
      "The largest expected batch with which steps stay within an epsilon with a given noise.

      Usage: leadglass accountant batch --epsilon E --delta D --units N --noise-multiplier S --steps T [options]

      Options:
        --epsilon E                    what the steps may cost together (required)
        --delta D                      the delta of the guarantee (required)
        --units N                      how many patients (or images) there are (required)
        --noise-multiplier S           standard deviation of the noise, divided by the most one unit adds
                                       (required)
        --steps T                      how many steps (required)
        --accountant pld|rdp|gaussian  pld is tight; rdp a looser cross-check; gaussian exact, for
                                       probability 1 only (pld unless given)
        --relation add-remove|replace  two cohorts differ by one unit more or less, or by one exchanged
                                       (add-remove unless given)
        --json                         print one JSON document and nothing else on standard output
        --help                         print this help

      Example:
        leadglass accountant batch --epsilon 3 --delta 1e-5 --units 50000 --noise-multiplier 1 --steps 1000
      "
    `);
  });

  it("accountant noise", async () => {
    expect(await helpOf(accountantNoise)).toMatchInlineSnapshot(`
      "The least noise multiplier with which steps stay within an epsilon.

      Usage: leadglass accountant noise --epsilon E --sampling-probability Q --steps T --delta D [options]

      Options:
        --epsilon E                    what the steps may cost together (required)
        --sampling-probability Q       probability with which a unit joins a step (required)
        --steps T                      how many steps (required)
        --delta D                      the delta of the guarantee (required)
        --accountant pld|rdp|gaussian  pld is tight; rdp a looser cross-check; gaussian exact, for
                                       probability 1 only (pld unless given)
        --relation add-remove|replace  two cohorts differ by one unit more or less, or by one exchanged
                                       (add-remove unless given)
        --json                         print one JSON document and nothing else on standard output
        --help                         print this help

      Example:
        leadglass accountant noise --epsilon 8 --delta 1e-5 --sampling-probability 0.01 --steps 1000
      "
    `);
  });

  it("ledger", async () => {
    expect(await helpOf(ledger)).toMatchInlineSnapshot(`
      "Everything that was done with a cohort's patients: accounted, public, for the owner only, or NOT
      ACCOUNTED.

      Usage: leadglass ledger COMMAND [options]

      Commands:
        show    every entry in words, and what was spent
        verify  whether anything was changed
        budget  the most that all of it may cost together

      leadglass ledger COMMAND --help says more. Exit codes: 0 done, 2 wrong usage, 3 bad input data, 4 privacy
      refused, 5 interrupted, 70 a bug of ours.

      Examples:
        leadglass ledger show runs/private
        leadglass ledger verify runs/private
      "
    `);
  });

  it("ledger show", async () => {
    expect(await helpOf(ledgerShow)).toMatchInlineSnapshot(`
      "Shows everything that was done with a cohort's patients, in words: what was opened, when, by which
      mechanism, what it cost, what no epsilon covers, and what is left of the budget. Give a run, or the
      ledger file of a cohort.

      Usage: leadglass ledger show RUN [options]

      Options:
        --json  print one JSON document and nothing else on standard output
        --help  print this help

      A star marks what the given run did. Exits with 4 where the ledger, the run or its cohort's ledger
      was changed.

      Examples:
        leadglass ledger show runs/private
        leadglass ledger show runs/ledgers/1f3a5c7e9b2d4f60.jsonl
      "
    `);
  });

  it("ledger verify", async () => {
    expect(await helpOf(ledgerVerify)).toMatchInlineSnapshot(`
      "Checks that nothing was changed: the numbering and chain of a ledger, that every cost is what its
      plan costs and passed no budget; of a run also its plan, settings, results and parameters, and that
      its cohort's ledger still holds everything that the run remembers. Keep the last hash elsewhere to
      see even a forgery of all copies.

      Usage: leadglass ledger verify RUN [options]

      Options:
        --json  print one JSON document and nothing else on standard output
        --help  print this help

      Takes a run or a ledger file. Exits with 4 where something was changed.

      Example:
        leadglass ledger verify runs/private
      "
    `);
  });

  it("everyExample_isTakenByItsOwnCommand", async () => {
    for (const command of [demo, cohortMake, cohortCheck, trainCommand, evaluate, predict, exportCommand]) {
      const text = await helpOf(command);
      const { name } = command.meta as { name: string };
      const examples = text
        .split(/Examples?:\n/)[1]!
        .trim()
        .split("\n");
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) expect(example.trim()).toMatch(new RegExp(`^leadglass ${name}( |$)`));
    }
  });

  it("audit", async () => {
    expect(await helpOf(audit)).toMatchInlineSnapshot(`
      "Trains privately with canaries among the patients, attacks the training to find out which were in,
      and shows the epsilon that the attack proves beside the one that is claimed.

      Usage: leadglass audit --cohort DIR --target COLUMN[,...] --out RUN --epsilon E [options]

      Options:
        --cohort DIR                    the cohort's folder (required)
        --target COLUMN[,...]           what to learn: a column of 0, 1 and blank, or COLUMN=VALUE;
                                        several for one model with several answers (required)
        --out RUN                       the run's folder; it must not exist, unless --resume (required)
        --profile reference             settings of the reference study (Tayebi Arasteh et al. 2024) for
                                        what is not given, to compare with it
        --epsilon E                     train privately within this epsilon (required)
        --delta D                       and this delta; chosen from the number of patients
        --unit patient|image            whose privacy: everything of a patient, or each image
        --relation add-remove|replace   cohorts that must look alike: one unit more or less, or one
                                        exchanged for another
        --sampling poisson|truncated-poisson|full|shuffle
                                        how units come into a step
        --batch-cap N                   the most units of a step, with truncated-poisson
        --clipping flat|per-layer|automatic|adaptive
                                        how a unit's gradient is bounded
        --clip-norm C                   the most one unit may add to a step
        --model NAME                    the architecture
        --features FILE                 an ONNX model as frozen feature extractor, run once for each
                                        image; --model is then its head: linear, two-layer
        --image-size PIXELS             side that images are brought to
        --window LOW,HIGH               Hounsfield units that volumes are cut off at, or abdomen, lung,
                                        bone, brain
        --spacing MM                    distance between voxels that volumes are brought to, or Z,Y,X
        --volume-shape D,H,W            voxels of the box that volumes are cut to
        --about volume|body|pancreas    what lies in the middle of that box
        --views V                       views of a unit in one step
        --batch B                       units of a step; under privacy the expected number
        --epochs N                      passes over the training units
        --lr R                          learning rate
        --optimizer sgd|adam|adamw|nadam
                                        the update rule
        --averaging D                   decay of the average over steps that becomes the model's weights;
                                        0 keeps the last ones
        --init-from RUN                 start from another run's weights, or a .safetensors file of
                                        torchvision's or timm's, where names and sizes agree
        --init-cohort DIR               the cohort that run was trained on, if it has moved: patients of
                                        both are refused
        --freeze NAME[,...]             parameters that are not trained; a star stands for any text, as in
                                        conv*.weight
        --validation private|public     public where the validation patients need no protection: threshold
                                        and AUROC are then taken without noise
        --best-of K                     keep the best of K states of the training, as the validation
                                        patients have it; by a noisy maximum unless they are public
        --positive-weights              weigh positives by how many negatives there are to each; privately
                                        from counts with noise
        --ledger DIR                    the folder of ledgers; LEADGLASS_LEDGERS, or the nearest one
                                        beside or above the run, unless given
        --seed S                        repeat exactly; not for private models that leave the house
        --resume                        go on with a run that was interrupted
        --device cpu|webgpu|cuda        where to compute (cpu unless given)
        --canaries M                    how many coins are tossed; 1000 gradients, or a quarter of the
                                        patients
        --kind gradient|image           gradient: invented units, for an attacker who sees every step;
                                        image: patients with the opposite labels, for one who sees the
                                        model (gradient unless given)
        --json                          print one JSON document and nothing else on standard output
        --help                          print this help

      Exits with 4 where the attack proves more than is claimed. The run is entered in the ledger like any
      private training; its model has seen the canaries: audit a training of its own, not the one you
      release. Ctrl-C exits with 5, and --resume goes on. Who was in a model that is finished already:
      leadglass audit membership --help.

      Examples:
        leadglass audit --cohort masses --target malignant --epsilon 8 --delta 1e-4 --canaries 1000 --out runs/audit
        leadglass audit --cohort masses --target malignant --epsilon 8 --kind image --out runs/audit-image
      "
    `);
  });

  it("audit membership", async () => {
    expect(await helpOf(auditMembershipCommand)).toMatchInlineSnapshot(`
      "Attacks a finished run: how well its train patients can be told from its test patients, overall, by
      label and by group. Everything is counted in patients.

      Usage: leadglass audit membership --run RUN --cohort DIR [options]

      Options:
        --run RUN                       the run's folder (required)
        --cohort DIR                    the cohort the run was trained on (required)
        --attack loss|lira|lira-offline|rmia
                                        what the attacker looks at (loss unless given)
        --shadows N                     shadow models of lira and rmia, an even number; 16 unless given
        --shadow-dir DIR                where finished shadow models are kept; RUN/shadows unless given
        --group COLUMN[,...]            also by the values of a column; age is taken in bands
        --device cpu|webgpu|cuda        where to compute (cpu unless given)
        --json                          print one JSON document and nothing else on standard output
        --help                          print this help

      Each shadow model is a training like the run's on half of the patients. Ctrl-C keeps the finished
      ones: the same command goes on. The figures describe private data; keep them in the house.

      Examples:
        leadglass audit membership --run runs/private --cohort masses --json
        leadglass audit membership --run runs/private --cohort masses --attack lira --shadows 32 --group sex,age
      "
    `);
  });

  it("synth", async () => {
    expect(await helpOf(synth)).toMatchInlineSnapshot(`
      "Synthetic images: generators, what their images are worth, and whom they give away.

      Usage: leadglass synth COMMAND [options]

      Commands:
        train   train a generator of both classes of a target; privately with --epsilon
        sample  draw images from a generator, as a cohort
        judge   fidelity, diversity and memorisation of a cohort of synthetic images

      leadglass synth COMMAND --help says more. Exit codes: 0 done, 2 wrong usage, 3 bad input data, 4 privacy
      refused, 5 interrupted, 70 a bug of ours.

      Examples:
        leadglass synth train --cohort masses --target malignant --out runs/generator --epsilon 10
        leadglass synth sample --run runs/generator --per-class 1000 --out samples
        leadglass synth judge --real masses --synthetic samples --target malignant --out judged
      "
    `);
  });

  it("synth judge", async () => {
    expect(await helpOf(synthJudge)).toMatchInlineSnapshot(`
      "Judges synthetic images against the real images of a split: distances of features and how much of
      one lies within the other, with real images of other patients as a control; whether a classifier
      learns the same from them; and whether they give training patients away. Writes judge.json,
      judge.html and pictures of near-duplicates.

      Usage: leadglass synth judge --real DIR --synthetic DIR --out DIR [options]

      Options:
        --real DIR            the real cohort, with the patients trained on and others (required)
        --synthetic DIR       the cohort of synthetic images (required)
        --split NAME          the split that the generator was trained on (train unless given)
        --target COLUMN       a label that both have: also by class, and class consistency
        --features FILE.onnx  also by the features of a network that takes pixels from 0 to 1
        --canaries COLUMN     a column that is 1 for images planted in the training: their ranks
        --images N            at most this many images of each side, drawn by patients; 3000
        --image-size N        side that images are brought to; 128
        --seed N              for draws and resamples (1 unless given)
        --ledger DIR          the folder of ledgers; else as for a run in DIR
        --out DIR             where the table and the page go (required)
        --json                print one JSON document and nothing else on standard output
        --help                print this help

      The page shows real images beside their nearest synthetic ones: it stays with the owner of the data.
      The figures carry no noise and are entered in the real cohort's ledger.

      Examples:
        leadglass synth judge --real masses --synthetic samples --target malignant --out judged
        leadglass synth judge --real masses --synthetic samples --features radimagenet.onnx --out judged --json
      "
    `);
  });
});
