"""An agent of the OpenAI Agents SDK with tools of an MCP server, as any program: nothing is about errand."""

import asyncio
import os

from agents import Agent, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp


async def main():
    set_tracing_disabled(True)
    headers = {"Authorization": f"Bearer {os.environ['ERRAND_MCP_TOKEN']}"}
    params = {"url": os.environ["ERRAND_MCP_URL"], "headers": headers}
    async with MCPServerStreamableHttp(params=params) as server:
        agent = Agent(name="guide", instructions="Help.", model="gpt-4o", mcp_servers=[server])
        done = await Runner.run(agent, "How is the weather?")
        outputs = [item.output for item in done.new_items if item.type == "tool_call_output_item"]
        print("run", outputs, done.final_output)
        streamed = Runner.run_streamed(agent, "And now?")
        kinds = {event.type async for event in streamed.stream_events()}
        print("stream", sorted(kinds), streamed.final_output)


asyncio.run(main())
