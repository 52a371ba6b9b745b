// Calls models with the SDK of OpenAI, as any program does: configured by the environment.

import OpenAI from "openai";

const client = new OpenAI();
const model = "gpt-4o";
const messages = [{ role: "user", content: "hi" }];
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ type: "function", function: { name: "weather", description: "Weather.", parameters } }];

const whole = await client.chat.completions.create({ model, messages });
console.log("chat", whole.choices[0].message.content, whole.usage.prompt_tokens);

let streamed = "";
for await (const part of await client.chat.completions.create({ model, messages, stream: true })) {
  streamed += part.choices[0].delta.content ?? "";
}
console.log("chat stream", streamed);

const asked = await client.chat.completions.create({ model, messages, tools });
const call = asked.choices[0].message.tool_calls[0];
const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
const after = [...messages, asked.choices[0].message, result];
const answered = await client.chat.completions.create({ model, messages: after, tools });
console.log("chat tool", call.function.arguments, answered.choices[0].message.content);

const response = await client.responses.create({ model, input: "hi" });
console.log("responses", response.output_text);
const stream = client.responses.stream({ model, input: "hello" });
console.log("responses stream", (await stream.finalResponse()).output_text);
