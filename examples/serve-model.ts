/**
 * Serves an exported model over HTTP with plain ONNX Runtime and sharp; nothing of Leadglass is needed where it runs:
 *
 *     leadglass export --run RUN --out malignant.onnx
 *     node examples/serve-model.ts malignant.onnx malignant [PORT]
 *     curl --data-binary @image.png http://127.0.0.1:8080/
 *
 * It listens on this machine alone. Images of another size than the model's are refused: how they are brought to size
 * changes the answer, so do it as in training (`leadglass predict` does).
 */
import { createServer, type IncomingMessage } from "node:http";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [model, names, port = "8080"] = process.argv.slice(2);
if (model === undefined || names === undefined) {
  console.error("node serve-model.ts MODEL.onnx TARGET[,TARGET] [PORT]");
  process.exit(2);
}
const targets = names.split(",");
const session = await InferenceSession.create(model);
const [input] = session.inputMetadata;
if (!input?.isTensor) throw new Error("the model takes no tensor");
const [rows, channels, height, width] = input.shape.map(Number);
if (rows !== 1 || channels !== 1) throw new Error("a model of grey images, exported with --rows 1, was expected");

/** Image files are a few megabytes; whatever is much larger is none. */
const mostBytes = 64 * 2 ** 20;

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    length += (part as Buffer).length;
    if (length > mostBytes) throw new Error(`more than ${mostBytes} bytes`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}

async function answer(image: Buffer): Promise<Record<string, number>> {
  const { data, info } = await sharp(image)
    .toColourspace("b-w")
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  if (info.width !== width || info.height !== height)
    throw new Error(`an image of ${info.width} x ${info.height}; the model takes ${width} x ${height}`);
  const grey = Float32Array.from({ length: width! * height! }, (_, i) => data[i * info.channels]! / 255);
  const feed = { [session.inputNames[0]!]: new Tensor("float32", grey, [1, 1, height!, width!]) };
  const { probabilities } = await session.run(feed, ["probabilities"]);
  return Object.fromEntries(targets.map((target, i) => [target, (probabilities!.data as Float32Array)[i]!]));
}

const server = createServer((request, response) => {
  const reply = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body)}\n`);
  };
  if (request.method !== "POST") return reply(405, { error: "POST an image" });
  bytesOf(request)
    .then(answer)
    .then((found) => reply(200, found))
    .catch((error: Error) => reply(422, { error: error.message }));
});
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address();
  console.log(`listening on http://127.0.0.1:${typeof address === "object" ? address?.port : port}`);
});
