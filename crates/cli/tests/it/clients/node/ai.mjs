// Calls models with the AI SDK and its providers, as any program does: configured by the environment.

import { anthropic } from "@ai-sdk/anthropic";
import { openai } from "@ai-sdk/openai";
import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const models = {
  responses: openai("gpt-4o"),
  chat: openai.chat("gpt-4o"),
  messages: anthropic("claude-opus-5-5"),
};
const weather = tool({
  description: "Weather.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});

for (const [name, model] of Object.entries(models)) {
  const whole = await generateText({ model, prompt: "hi" });
  console.log(name, whole.text, whole.usage.inputTokens);
  const streamed = streamText({ model, prompt: "hello" });
  console.log(name, "stream", await streamed.text);
  const used = await generateText({ model, prompt: "hi", tools: { weather }, stopWhen: isStepCount(3) });
  const outputs = used.steps.flatMap((step) => step.toolResults.map((result) => result.output));
  console.log(name, "tool", outputs.join(), used.text);
}
