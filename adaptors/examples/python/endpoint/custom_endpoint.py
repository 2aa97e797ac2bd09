"""The direct API with a check before it: asks whether the model runs, and changes what is sent."""

from airlock_adaptor import DirectAPIEndpoint, SubmitStreamingTaskResponse, SubmitTaskResponse, export, log


class CustomEndpoint(DirectAPIEndpoint):
    """Of the configuration: `status_url`, a page that says whether the model runs, and what the direct API takes."""

    def validate(self):
        # Read when the endpoint is loaded: what is missing is told with its place in the fixture.
        self.config["status_url"]
        super().validate()

    async def submit_task(self, data: dict) -> SubmitTaskResponse:
        # Ask first, so that a backend that is not ready is left alone.
        status = await self.get_endpoint_status()
        if status.error_message:
            return SubmitTaskResponse(error_message=status.error_message, error_code=status.error_code)
        # Change the input, log, and leave the rest to the direct API.
        log.info(f"calling the model {self.model}")
        return await super().submit_task(self.prepared(data))

    async def submit_streaming_task(self, data: dict, request_log_id: str = "") -> SubmitStreamingTaskResponse:
        status = await self.get_endpoint_status()
        if status.error_message:
            return SubmitStreamingTaskResponse(error_message=status.error_message, error_code=status.error_code)
        return await super().submit_streaming_task(self.prepared(data), request_log_id)

    def prepared(self, data: dict) -> dict:
        """What is sent: the client's JSON, with some of it set."""
        return {**data["model_params"], "temperature": 0}


export(CustomEndpoint)
