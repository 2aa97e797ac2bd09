// The direct API with changed streams: every piece of text goes out in upper case, as it comes.

import { adaptor, DirectAPIEndpoint, Reply } from "airlock-adaptor";

export class CustomStreaming extends DirectAPIEndpoint {
  // Tasks without a stream go to the backend as they are.
  async submitStreamingTask(data) {
    const reply = await super.submitStreamingTask(data);
    // Here the backend is asked; where it refuses, so does this.
    const events = await reply.events();
    return Reply.events(upperCase(events));
  }
}

// The gateway asks for one event at a time: a slow client slows the backend down.
function* upperCase(events) {
  for (const event of events) {
    for (const { delta } of event.choices ?? []) {
      if (delta?.content) delta.content = delta.content.toUpperCase();
    }
    yield event;
  }
}

export const { endpoint, replies } = adaptor(CustomStreaming);
