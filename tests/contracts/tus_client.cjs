// Drives tus-js-client as its own documentation shows. Reads one JSON order on standard input:
// {module, endpoint, file, headers, metadata, chunkSize, stopAfter, uploadUrl}; answers with one JSON line.
const fs = require("node:fs");

const order = JSON.parse(fs.readFileSync(0, "utf8"));
const tus = require(order.module);

const said = { url: null, sent: 0, error: null, statuses: [] };
const done = () => process.stdout.write(JSON.stringify(said) + "\n", () => process.exit(0));

const upload = new tus.Upload(order.stream ? fs.createReadStream(order.file) : fs.readFileSync(order.file), {
  endpoint: order.endpoint,
  uploadUrl: order.uploadUrl ?? undefined,
  uploadSize: order.stream ? fs.statSync(order.file).size : undefined,
  chunkSize: order.chunkSize ?? Infinity,
  uploadDataDuringCreation: order.withCreation ?? false,
  headers: order.headers,
  metadata: order.metadata,
  retryDelays: [0, 200, 500],
  onAfterResponse: (request, response) => said.statuses.push(`${request.getMethod()} ${response.getStatus()}`),
  onChunkComplete: (size, accepted) => {
    said.sent = accepted;
    if (order.stopAfter && accepted >= order.stopAfter) {
      said.url = upload.url;
      upload.abort().then(done);
    }
  },
  onError: (error) => {
    said.error = String(error);
    said.url = upload.url;
    done();
  },
  onSuccess: () => {
    said.url = upload.url;
    done();
  },
});
if (order.terminate) {
  tus.Upload.terminate(order.uploadUrl, { headers: order.headers, retryDelays: [] }).then(done, (error) => {
    said.error = String(error);
    done();
  });
} else {
  upload.start();
}
