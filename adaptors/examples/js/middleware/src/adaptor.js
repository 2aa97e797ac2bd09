// Stands in front of another adaptor: puts a system prompt before every chat, and refuses a word.

import { adaptor, AdaptorError, Middleware, required } from "airlock-adaptor";

export class CustomMiddleware extends Middleware {
  // The endpoint behind this one checks its own part of the configuration.
  validate() {
    required(this.config, "system_prompt");
  }

  async submitTask(data) {
    if (this.task.operation !== "chat/completions") return this.next.submitTask();
    const { system_prompt, refused_word } = this.config;
    if (refused_word && JSON.stringify(data.messages).includes(refused_word)) {
      throw AdaptorError.badRequest("word_refused", `this service does not talk about "${refused_word}"`);
    }
    const system = { role: "system", content: system_prompt };
    return this.next.submitTask({ ...data, messages: [system, ...data.messages] });
  }
}

export const { endpoint, replies } = adaptor(CustomMiddleware);
