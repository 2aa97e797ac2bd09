"""Stands in front of another endpoint: refuses a word, and puts a system prompt in front of every chat."""

from airlock_adaptor import AdaptorError, Middleware, export


class CustomMiddleware(Middleware):
    """Of the configuration: `system_prompt`, and `refused_word`, which may be left out."""

    def validate(self):
        self.config["system_prompt"]

    async def submit_task(self, data: dict):
        self.change(data["model_params"])
        return await self.next.submit_task(data)

    async def submit_streaming_task(self, data: dict, request_log_id: str = ""):
        self.change(data["model_params"])
        return await self.next.submit_streaming_task(data, request_log_id)

    def change(self, body: dict) -> None:
        """Changes the client's JSON in place. Other operations than chats go through."""
        if self.task.operation != "chat/completions":
            return
        word = self.config.get("refused_word")
        if word and any(word in str(message.get("content")) for message in body["messages"]):
            raise AdaptorError(400, "word_refused", f"this model takes no messages with the word {word!r}")
        body["messages"].insert(0, {"role": "system", "content": self.config["system_prompt"]})


export(CustomMiddleware)
