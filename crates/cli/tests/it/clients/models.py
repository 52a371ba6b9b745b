"""Calls models as any program does: with the SDKs as they are, configured by the environment."""

import asyncio

import anthropic
import openai
from google import genai

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "Looks up.", "parameters": {"type": "object"}},
}
QUESTION = [{"role": "user", "content": "hi"}]


def chat():
    client = openai.OpenAI()
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION)
    print("chat", answer.choices[0].message.content, answer.usage.prompt_tokens)
    parts = client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
    chunks = list(parts)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    print("chat stream", text, any(chunk.usage for chunk in chunks))
    answer = client.chat.completions.create(model="gpt-4o", messages=QUESTION, tools=[TOOL])
    called = answer.choices[0].message.tool_calls[0].function
    print("chat tool", called.name, called.arguments)
    answer = client.responses.create(model="gpt-4o", input="hi")
    print("responses", answer.output_text)


async def chat_async():
    client = openai.AsyncOpenAI()
    answer = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, seed=7)
    print("chat async", answer.choices[0].message.content)


def messages():
    client = anthropic.Anthropic()
    wanted = {"model": "claude-sonnet-4-5", "max_tokens": 64, "messages": QUESTION}
    answer = client.messages.create(**wanted)
    print("messages", answer.content[0].text, answer.usage.input_tokens)
    with client.messages.stream(**wanted) as stream:
        print("messages stream", "".join(stream.text_stream))


async def messages_async():
    client = anthropic.AsyncAnthropic()
    wanted = {"model": "claude-sonnet-4-5", "max_tokens": 65, "messages": QUESTION}
    answer = await client.messages.create(**wanted)
    print("messages async", answer.content[0].text)


def gemini():
    client = genai.Client()
    answer = client.models.generate_content(model="gemini-3.8-flash", contents="hi")
    print("gemini", answer.text)
    parts = client.models.generate_content_stream(model="gemini-3.8-flash", contents="hi")
    print("gemini stream", "".join(part.text or "" for part in parts))


chat()
asyncio.run(chat_async())
messages()
asyncio.run(messages_async())
gemini()
try:
    openai.OpenAI().chat.completions.create(
        model="gpt-4o", messages=QUESTION, max_tokens=1_000_000
    )
except openai.PermissionDeniedError as error:
    print("refused", error.code)
