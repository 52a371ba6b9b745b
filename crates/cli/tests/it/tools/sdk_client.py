"""Uses the tools of the run with the Python SDK, over HTTP and on stdio, in both versions of the protocol."""

import asyncio
import os
from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.client.stdio import StdioServerParameters, stdio_client


async def use(transport, mode):
    async with Client(transport, mode=mode) as client:
        tools = await client.list_tools()
        names = sorted(tool.name for tool in tools.tools)
        added = await client.call_tool(names[0], {"a": 1, "b": 2})
        failed = await client.call_tool(names[1], {})
        print(client.protocol_version, names, added.structured_content, failed.is_error, failed.content[0].text, flush=True)


async def main():
    url, token = os.environ["ERRAND_MCP_URL"], os.environ["ERRAND_MCP_TOKEN"]
    for mode in ["auto", "legacy"]:
        http = create_mcp_http_client(headers={"Authorization": "Bearer " + token})
        await use(streamable_http_client(url, http_client=http), mode)
        errand = StdioServerParameters(command="errand", args=["agent", "mcp"], env=dict(os.environ))
        await use(stdio_client(errand), mode)


asyncio.run(main())
