// Drives a server with the types that openapi-typescript generated: URL, key.
import type { components, paths } from "./errand";

type Run = components["schemas"]["Run"];
type RunRequest = components["schemas"]["RunRequest"];
type Problem = components["schemas"]["Problem"];
type RunPage = paths["/v1/runs"]["get"]["responses"][200]["content"]["application/json"];
type EventPage = paths["/v1/runs/{run_id}/events"]["get"]["responses"][200]["content"]["application/json"];
type Query = NonNullable<paths["/v1/runs"]["get"]["parameters"]["query"]>;

const args: string[] = (globalThis as unknown as { process: { argv: string[] } }).process.argv;
const [url, key] = [args[2] ?? "", args[3] ?? ""];

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  const document: unknown = await answer.json();
  if (!answer.ok) throw new Error((document as Problem).detail);
  return document as T;
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

async function main(): Promise<void> {
  const request: RunRequest = { agent: "counter", input: { n: 2 }, labels: { team: "green" } };
  const run: Run = await ask("POST", "/v1/runs/wait", request);
  // Each of these is typed: a name or a word that the document does not have does not compile.
  const status: "pending" | "running" | "paused" | "completed" | "failed" | "cancelled" = run.status;
  const ended: number[] = run.attempts.map((attempt) => attempt.usage?.wall_ms ?? -1);
  const trigger: "manual" | "webhook" | "schedule" | "upstream" = run.trigger.type;
  const tokens: number = run.usage.input_tokens + run.usage.output_tokens;
  const limits: number[] = (run.budgets?.limits ?? []).map((limit) => limit.allowed);
  const waits: string | undefined = run.pause?.reason;
  must(status === "completed" && trigger === "manual", JSON.stringify(run));
  must(ended.length === 1 && (ended[0] ?? -1) >= 0 && tokens === 12, JSON.stringify(run));
  must(limits[0] === 100 && waits === undefined && run.counters.steps === 1, JSON.stringify(run));
  const query: Query = { label: ["team=green"], limit: 5 };
  const page: RunPage = await ask("GET", `/v1/runs?label=${query.label?.[0]}&limit=${query.limit}`);
  must(page.runs.length === 1 && page.runs[0]?.run_id === run.run_id, JSON.stringify(page));
  const journal: EventPage = await ask("GET", `/v1/runs/${run.run_id}/events`);
  must(journal.events[0]?.type === "run.created" && journal.is_over, JSON.stringify(journal));
  console.log("driven");
}

void main();
