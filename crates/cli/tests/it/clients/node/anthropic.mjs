// Calls models with the SDK of Anthropic, as any program does: configured by the environment.

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const messages = [{ role: "user", content: "hi" }];
const wanted = { model: "claude-opus-5-5", max_tokens: 64, messages };
const input_schema = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ name: "weather", description: "Weather.", input_schema }];

const whole = await client.messages.create(wanted);
console.log("messages", whole.content[0].text, whole.usage.input_tokens);

const stream = client.messages.stream(wanted);
console.log("messages stream", (await stream.finalMessage()).content[0].text);

const asked = await client.messages.create({ ...wanted, tools });
const use = asked.content[0];
const result = { type: "tool_result", tool_use_id: use.id, content: "sunny" };
const after = [
  ...messages,
  { role: "assistant", content: asked.content },
  { role: "user", content: [result] },
];
const answered = await client.messages.create({ ...wanted, messages: after, tools });
console.log("messages tool", use.input.city, answered.content[0].text);

const counted = await client.messages.countTokens({ model: wanted.model, messages });
console.log("count", counted.input_tokens);
