// Runs scenarios of the conformance suite of the protocol against the tools that errand offers.

import { spawn } from "node:child_process";
import http from "node:http";

const [suite, ...scenarios] = process.argv.slice(2);
const target = new URL(process.env.ERRAND_MCP_URL);

// The suite knows no tokens: they are added on the way.
const proxy = http.createServer((asked, answer) => {
  const headers = { ...asked.headers, authorization: `Bearer ${process.env.ERRAND_MCP_TOKEN}` };
  const { hostname, port, pathname } = target;
  const options = { hostname, port, path: pathname, method: asked.method, headers };
  const passed = http.request(options, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  asked.pipe(passed);
  answer.on("close", () => passed.destroy());
});
await new Promise((listening) => proxy.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${proxy.address().port}/mcp`;

for (const scenario of scenarios) {
  const run = spawn(process.execPath, [suite, "server", "--url", url, "--scenario", scenario]);
  let output = "";
  run.stdout.on("data", (part) => (output += part));
  run.stderr.on("data", (part) => (output += part));
  const code = await new Promise((ended) => run.on("close", ended));
  console.log(scenario, code === 0 ? "passed" : `failed\n${output}`);
}
proxy.close();
