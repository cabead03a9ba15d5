// Drives @uppy/core with @uppy/tus as its documentation shows. Reads one JSON order on standard input:
// {folder, endpoint, files: [path], headers, metadata, chunkSize, limit}; answers with one JSON line.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const order = JSON.parse(fs.readFileSync(0, "utf8"));
const require = createRequire(pathToFileURL(path.join(order.folder, "x.js")));
const load = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const Uppy = await load("@uppy/core");
const Tus = await load("@uppy/tus");

const said = { successful: [], failed: [], statuses: [] };
const uppy = new Uppy({ autoProceed: false, allowMultipleUploadBatches: true, meta: order.metadata });
uppy.use(Tus, {
  endpoint: order.endpoint,
  headers: order.headers,
  chunkSize: order.chunkSize ?? Infinity,
  limit: order.limit ?? 3,
  retryDelays: [0, 200, 500],
  allowedMetaFields: ["filename", ...Object.keys(order.metadata)],
  onAfterResponse: (request, response) => said.statuses.push(`${request.getMethod()} ${response.getStatus()}`),
});
for (const file of order.files) {
  const name = path.basename(file);
  // In node tus-js-client reads buffers, in a browser Blobs; Uppy only wants to know how large they are.
  const data = fs.readFileSync(file);
  data.size = data.length;
  uppy.addFile({ name, type: "application/octet-stream", data, meta: { filename: name } });
}
const result = await uppy.upload();
for (const file of result.successful) said.successful.push([file.name, file.uploadURL ?? file.tus?.uploadUrl ?? ""]);
for (const file of result.failed) said.failed.push([file.name, String(file.error)]);
process.stdout.write(JSON.stringify(said) + "\n", () => process.exit(0));
