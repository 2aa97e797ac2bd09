//! `airlock:adaptor/callbacks`: what backends post to the gateway for one instance.

use std::time::Duration;

use serde_json::Value;
use wasmtime::{Result, component::Resource};

use crate::{
    bindings::airlock::adaptor::{
        callbacks::{self, Address, Message as ContractMessage},
        common::AdaptorError,
    },
    call::CallState,
    callbacks::{Inbox, Message, Undelivered},
};

impl callbacks::Host for CallState {}

impl callbacks::HostInbox for CallState {
    fn open(&mut self) -> Result<Result<Resource<Inbox>, AdaptorError>> {
        self.check_serves()?;
        let opened = self.sandbox.callbacks().open();
        let asking = self.asking("callbacks.open", || Value::Null);
        asking.recorded::<bool>()?;
        asking.told(&opened.is_some());
        match opened {
            Some(inbox) => Ok(Ok(self.table.push(inbox)?)),
            None => Ok(Err(error(
                501,
                "callbacks_unavailable",
                "this gateway takes no callbacks: its operator has not set `callbacks.url`",
            ))),
        }
    }

    fn address(&mut self, inbox: Resource<Inbox>) -> Result<Address> {
        let inbox = self.table.get(&inbox)?;
        let address = inbox.address().ok_or_else(|| wasmtime::Error::msg("an inbox without an address"))?;
        Ok(Address {
            protocol: address.protocol.clone(),
            host: address.host.clone(),
            port: address.port,
            id: inbox.id().to_string(),
            token: inbox.token().to_owned(),
        })
    }

    async fn receive(
        &mut self,
        inbox: Resource<Inbox>,
        timeout_ms: u32,
    ) -> Result<Result<Option<ContractMessage>, AdaptorError>> {
        let inbox = self.table.get(&inbox)?;
        let received = tokio::time::timeout(Duration::from_millis(timeout_ms.into()), inbox.receive()).await;
        Ok(match received {
            Err(_) => Ok(None),
            Ok(Ok(Message::Data(text))) => Ok(Some(ContractMessage::Data(text))),
            Ok(Ok(Message::Error(text))) => Ok(Some(ContractMessage::Error(text))),
            Ok(Ok(Message::Done)) => Ok(Some(ContractMessage::Done)),
            Ok(Err(why)) => Err(ended(why)),
        })
    }

    fn drop(&mut self, inbox: Resource<Inbox>) -> Result<()> {
        self.table.delete(inbox)?;
        Ok(())
    }
}

fn ended(why: Undelivered) -> AdaptorError {
    match why {
        Undelivered::Secret => {
            error(502, "callback_refused", "what the backend posted did not carry the gateway's secret")
        }
        Undelivered::Token => {
            error(502, "callback_refused", "what was posted for this request did not carry its token")
        }
        Undelivered::Overflow => {
            error(502, "callback_overflow", "the backend sends faster than the client reads")
        }
    }
}

fn error(status: u16, code: &str, message: &str) -> AdaptorError {
    AdaptorError { status, code: code.into(), message: message.into(), retry_after_ms: None }
}
