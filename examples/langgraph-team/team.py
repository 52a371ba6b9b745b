"""A team of LangGraph agents: one researches with tools, one writes, one checks.

Nothing in it is about errand: ChatOpenAI finds its address and key, and the MCP client its server, in the
environment.
"""

import asyncio
import os
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

MODEL = os.environ.get("TEAM_MODEL", "gpt-6-luna")
QUESTION = "Why did the harbour bridge cost more than planned, and how much more?"
RESEARCH = "You are the researcher. Find what answers the question with your tools, and say it with its sources."
WRITE = "You are the writer. Answer the question in two sentences from the notes; name the sources in brackets."
CHECK = "You are the checker. Say OK if the notes support each statement of the answer, or else what is wrong."
MOST_DRAFTS = 3


class Team(MessagesState):
    question: str
    notes: str
    draft: str
    verdict: str
    drafts: int


def team(tools):
    # Chat completions are what every service with this format has.
    model = ChatOpenAI(model=MODEL, use_responses_api=False)
    with_tools = model.bind_tools(tools)

    async def research(state):
        asked = [("system", RESEARCH), ("user", state["question"]), *state["messages"]]
        said = await with_tools.ainvoke(asked)
        for call in said.tool_calls:
            print(f"researcher: {call['name']} {call['args']}", flush=True)
        return {"messages": [said], "notes": said.text}

    async def write(state):
        asked = f"Question: {state['question']}\nNotes: {state['notes']}\nLast verdict: {state.get('verdict')}"
        said = await model.ainvoke([("system", WRITE), ("user", asked)])
        return {"draft": said.text, "drafts": state.get("drafts", 0) + 1}

    async def check(state):
        asked = f"Notes: {state['notes']}\nAnswer: {state['draft']}"
        said = await model.ainvoke([("system", CHECK), ("user", asked)])
        print(f"checker: {said.text}", flush=True)
        return {"verdict": said.text}

    def is_good(state):
        return END if state["verdict"].startswith("OK") or state["drafts"] >= MOST_DRAFTS else "write"

    graph = StateGraph(Team)
    graph.add_node("research", research)
    graph.add_node("tools", ToolNode(tools))
    graph.add_node("write", write)
    graph.add_node("check", check)
    graph.add_edge(START, "research")
    graph.add_conditional_edges("research", tools_condition, {"tools": "tools", END: "write"})
    graph.add_edge("tools", "research")
    graph.add_edge("write", "check")
    graph.add_conditional_edges("check", is_good, {"write": "write", END: END})
    return graph.compile()


async def main():
    question = ("" if sys.stdin.isatty() else sys.stdin.read()).strip() or QUESTION
    headers = {"Authorization": f"Bearer {os.environ['ERRAND_MCP_TOKEN']}"}
    server = {"transport": "http", "url": os.environ["ERRAND_MCP_URL"], "headers": headers}
    tools = await MultiServerMCPClient({"tools": server}).get_tools()
    done = await team(tools).ainvoke({"question": question, "messages": []})
    print(done["draft"])


asyncio.run(main())
