"""A tool server with one tool, made with the SDK of the protocol."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("weather")


@server.tool()
def now(city: str) -> str:
    """Says how the weather is."""
    return f"sunny in {city}"


server.run()
