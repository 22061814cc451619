// The mock's appliances: byte ranges over HTTP, two ways to die and two to be unwell.
// `kill` is a crash (sockets reset, port closed); `freeze` is a power cut (sockets open, silence);
// `forget` is a lost disk (404 for everything), `delay` a busy one (each answer that much later).

import { createServer } from "node:http";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "Content-Length, Content-Range, ETag, Date",
};
const MEDIA_PATH = /^\/t\/[\w.-]+\/v\/([a-z0-9-]+)\/([0-9a-f]{64})(?:\.(mp4|m3u8))?$/;

export async function startAppliance(id, objects) {
  let frozen = false;
  let forgetful = false;
  let delayMs = 0;
  let sent = 0;
  let requests = 0;
  const sockets = new Set();
  const server = createServer((request, response) => {
    if (frozen) return;
    requests += 1;
    if (request.method === "OPTIONS") {
      response.writeHead(204, { ...CORS, "access-control-allow-headers": "*" }).end();
      return;
    }
    const match = MEDIA_PATH.exec(new URL(request.url, "http://here").pathname);
    const bytes = match && !forgetful && objects.get(match[2]);
    if (!bytes) {
      response.writeHead(404, { ...CORS, "content-type": "text/plain" }).end("unknown");
      return;
    }
    const head = {
      ...CORS,
      "content-type": match[3] === "m3u8" ? "application/vnd.apple.mpegurl" : "video/mp4",
      "accept-ranges": "bytes",
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
    head["content-length"] = end - start;
    if (range) head["content-range"] = `bytes ${start}-${end - 1}/${bytes.length}`;
    sent += end - start;
    setTimeout(() => {
      response.writeHead(range ? 206 : 200, head).end(bytes.subarray(start, end));
    }, delayMs);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  return {
    id,
    url: `http://127.0.0.1:${port}`,
    diedAt: null,
    figures: () => ({ sent, requests, connections: sockets.size }),
    freeze() {
      frozen = true;
      this.diedAt = Date.now();
    },
    kill() {
      this.diedAt ??= Date.now();
      server.close();
      for (const socket of sockets) socket.resetAndDestroy?.();
    },
    forget(now = true) {
      forgetful = now;
    },
    delay(ms) {
      delayMs = ms;
    },
    /** Comes back on the same port, as a restarted process would. */
    async revive() {
      frozen = false;
      if (!server.listening) await new Promise((done) => server.listen(port, "127.0.0.1", done));
      this.diedAt = null;
    },
  };
}
