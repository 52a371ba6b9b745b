"""Calls the tools of `@modelcontextprotocol/server-everything` through errand, with the SDK of the protocol."""

import asyncio
import os
from datetime import timedelta

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError

CALLS = [
    ("echo", {"message": "hi"}),
    ("get-sum", {"a": 1, "b": 2}),
    ("get-sum", {"a": "x"}),
    ("get-tiny-image", {}),
    ("get-structured-content", {"location": "Chicago"}),
    ("get-annotated-message", {"messageType": "error", "includeImage": True}),
    ("get-resource-links", {"count": 2}),
    ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
    ("trigger-long-running-operation", {"duration": 1, "steps": 2}),
    ("trigger-sampling-request", {"prompt": "hi"}),
]
LONG = "every_trigger-long-running-operation"


async def main():
    headers = {"Authorization": f"Bearer {os.environ['ERRAND_MCP_TOKEN']}"}
    async with streamablehttp_client(os.environ["ERRAND_MCP_URL"], headers=headers) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            print("listed", f"every_{CALLS[0][0]}" in names, LONG in names)
            for name, arguments in CALLS:
                result = await session.call_tool("every_" + name, arguments)
                kinds = ",".join(part.type for part in result.content)
                members = sorted(result.structuredContent or {})
                print(name, "failed" if result.isError else "ok", kinds, *members)
            try:
                given_up = timedelta(milliseconds=200)
                await session.call_tool(LONG, {"duration": 60, "steps": 2}, read_timeout_seconds=given_up)
            except McpError as error:
                print("given up", error.error.code)
            result = await session.call_tool("every_echo", {"message": "still there"})
            print(result.content[0].text)


asyncio.run(main())
