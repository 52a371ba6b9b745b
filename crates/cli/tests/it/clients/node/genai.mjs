// Calls models with the SDK of Google, as any program does: configured by the environment.

import { GoogleGenAI } from "@google/genai";

const client = new GoogleGenAI({});
const model = "gemini-2.5-flash";

const whole = await client.models.generateContent({ model, contents: "hi" });
console.log("gemini", whole.text, whole.usageMetadata.promptTokenCount);

let streamed = "";
for await (const part of await client.models.generateContentStream({ model, contents: "hi" })) {
  streamed += part.text ?? "";
}
console.log("gemini stream", streamed);

const parameters = { type: "OBJECT", properties: { city: { type: "STRING" } } };
const weather = { name: "weather", description: "Weather.", parameters };
const config = { tools: [{ functionDeclarations: [weather] }] };
const asked = await client.models.generateContent({ model, contents: "hi", config });
const call = asked.functionCalls[0];
const contents = [
  { role: "user", parts: [{ text: "hi" }] },
  asked.candidates[0].content,
  { role: "user", parts: [{ functionResponse: { name: call.name, response: { sky: "sunny" } } }] },
];
const answered = await client.models.generateContent({ model, contents, config });
console.log("gemini tool", call.args.city, answered.text);
