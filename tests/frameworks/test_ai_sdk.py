"""Vercel's AI SDK with its provider for servers of OpenAI's dialect."""
import json

from javascript import run_javascript

SCRIPT = """
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from 'ai'
import { z } from 'zod'
globalThis.AI_SDK_LOG_WARNINGS = false
const provider = createOpenAICompatible({ name: 'cria', baseURL: process.argv[2] + '/v1', includeUsage: true,
                                          supportsStructuredOutputs: true })
const model = provider('qwen')
const prompt = 'What is the capital of France? Answer with one word.'
const shared = { model, temperature: 0, maxOutputTokens: 60, maxRetries: 0 }
const said = {}

const whole = await generateText({ ...shared, prompt })
said.text = whole.text
said.finish = whole.finishReason
said.usage = whole.usage

const stream = streamText({ ...shared, prompt })
said.streamed = ''
for await (const part of stream.textStream) said.streamed += part
said.streamedFinish = await stream.finishReason
said.streamedUsage = await stream.usage

const object = await generateObject({ ...shared, prompt: 'Anna is 31 years old. Write her as JSON.',
                                      schema: z.object({ name: z.string(), age: z.number().int() }) })
said.object = object.object

const asked = []
const weather = tool({ description: 'Get the current weather of a city', inputSchema: z.object({ city: z.string() }),
                       execute: async ({ city }) => { asked.push(city); return { city, weather: 'sunny', degrees: 21 } } })
const tools = { get_weather: weather }
const question = 'What is the weather in Paris?'
const agent = await generateText({ ...shared, prompt: question, tools, stopWhen: stepCountIs(2) })
said.steps = agent.steps.map(step => [step.finishReason, step.toolCalls.length])
said.asked = asked
const forced = streamText({ ...shared, prompt: question, tools: { get_weather: { ...weather, execute: undefined } },
                            toolChoice: { type: 'tool', toolName: 'get_weather' } })
said.forced = (await forced.toolCalls).map(call => [call.toolName, call.input])

const vectors = await embedMany({ model: provider.embeddingModel('qwen'), values: ['a', 'b'], maxRetries: 0 })
said.vectors = vectors.embeddings.map(vector => vector.length)

try {
  await generateText({ ...shared, model: provider('nothing'), prompt })
} catch (error) {
  said.error = [error.statusCode, error.message]
}
const stopped = new AbortController()
const endless = streamText({ ...shared, maxOutputTokens: 3000, prompt: 'Write a long story.', abortSignal: stopped.signal,
                             onError: () => {} })
said.aborted = 0
for await (const part of endless.textStream) if (++said.aborted === 3) stopped.abort()
console.log(JSON.stringify(said))
"""


def test_ai_sdk(server):
    said = json.loads(run_javascript("ai_sdk.mjs", SCRIPT, server.url))
    assert "Paris" in said["text"] and said["streamed"] == said["text"]
    assert said["finish"] == said["streamedFinish"] == "stop"
    for usage in (said["usage"], said["streamedUsage"]):
        assert usage["inputTokens"] > 10 and 0 < usage["outputTokens"] <= 60
    assert said["object"] == {"name": "Anna", "age": 31}
    # The second request carries the tool's result; what the model makes of it is its own affair.
    assert said["asked"][0] == "Paris" and said["steps"][0] == ["tool-calls", 1] and len(said["steps"]) == 2
    assert said["forced"] == [["get_weather", {"city": "Paris"}]]
    assert said["vectors"] == [896, 896]
    assert said["error"] == [404, "model 'nothing' not found"]
    assert said["aborted"] == 3
