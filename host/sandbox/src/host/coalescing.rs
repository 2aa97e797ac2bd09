//! `airlock:adaptor/coalescing`: one call for many instances of a tenant.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wasmtime::{Result, component::Resource};

use crate::{
    AdaptorError as Failure,
    bindings::airlock::adaptor::{
        coalescing::{self, Pace, Ticket, Turn as ContractTurn},
        common::AdaptorError,
    },
    call::CallState,
    coalesce::{Budget, CallPace, JoinError, Member, Outcome, Turn},
    witness::Data,
};

impl coalescing::Host for CallState {}

impl coalescing::HostMember for CallState {
    fn join(
        &mut self,
        group: String,
        item: Vec<u8>,
        pace: Pace,
    ) -> Result<Result<Resource<Member>, AdaptorError>> {
        self.check_serves()?;
        let item = Bytes::from(item);
        let asking = self.asking("coalescing.join", || json!({ "group": group, "item": Data(item.clone()) }));
        // The member is a real one also in a replay: its group is this process's own.
        asking.recorded::<()>()?;
        asking.told(&());
        let groups = self.hooks.grant.tenant().groups();
        match groups.join(&group, item, call_pace(pace)) {
            Ok(member) => Ok(Ok(self.table.push(member)?)),
            Err(error) => Ok(Err(refusal(&error))),
        }
    }

    async fn next(&mut self, member: Resource<Member>, timeout_ms: u32) -> Result<Option<ContractTurn>> {
        let asking = self.asking("coalescing.next", || json!({ "timeout-ms": timeout_ms }));
        let turn = match asking.recorded::<Option<Told>>()? {
            Some(told) => told.map(Turn::from),
            None => {
                let member = self.table.get(&member)?;
                let wait = Duration::from_millis(timeout_ms.into());
                tokio::time::timeout(wait, member.next()).await.ok()
            }
        };
        asking.told(&turn.as_ref().map(Told::from));
        if matches!(turn, Some(Turn::Lead(_))) {
            self.hooks.regain();
        }
        Ok(turn.map(|turn| match turn {
            Turn::Lead(items) => ContractTurn::Lead(
                items.into_iter().map(|(id, item)| Ticket { id, item: item.into() }).collect(),
            ),
            Turn::Settled(outcome) => {
                ContractTurn::Settled(outcome.map(Vec::from).map_err(|failure| failure.into()))
            }
        }))
    }

    fn settle(
        &mut self,
        member: Resource<Member>,
        ticket: u64,
        outcome: Result<Vec<u8>, AdaptorError>,
    ) -> Result<bool> {
        let outcome: Outcome = outcome.map(Into::into).map_err(Failure::from);
        let with = || json!({ "ticket": ticket, "outcome": outcome.clone().map(Data) });
        let asking = self.asking("coalescing.settle", with);
        let settled = match asking.recorded()? {
            Some(settled) => settled,
            None => self.table.get(&member)?.settle(ticket, outcome),
        };
        asking.told(&settled);
        Ok(settled)
    }

    fn drop(&mut self, member: Resource<Member>) -> Result<()> {
        self.table.delete(member)?;
        Ok(())
    }
}

/// A turn, as it is recorded.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Told {
    Lead(Vec<(u64, Data)>),
    Settled(Result<Data, Failure>),
}

impl From<&Turn> for Told {
    fn from(turn: &Turn) -> Self {
        match turn {
            Turn::Lead(items) => {
                Self::Lead(items.iter().map(|(id, item)| (*id, item.clone().into())).collect())
            }
            Turn::Settled(outcome) => Self::Settled(outcome.clone().map(Data)),
        }
    }
}

impl From<Told> for Turn {
    fn from(told: Told) -> Self {
        match told {
            Told::Lead(items) => Self::Lead(items.into_iter().map(|(id, item)| (id, item.0)).collect()),
            Told::Settled(outcome) => Self::Settled(outcome.map(|item| item.0)),
        }
    }
}

fn call_pace(pace: Pace) -> CallPace {
    let ms = |ms: u32| Duration::from_millis(ms.into());
    CallPace {
        gather: ms(pace.gather_ms),
        interval: ms(pace.interval_ms),
        max_items: usize::try_from(pace.max_items).unwrap_or(usize::MAX),
        budget: pace.budget.map(|budget| Budget {
            name: budget.name,
            calls: budget.calls,
            per: ms(budget.per_ms),
        }),
    }
}

fn refusal(error: &JoinError) -> AdaptorError {
    let (status, code, message) = match error {
        JoinError::TooLarge => (502, "too_large", "the item or a name of the group is too large"),
        JoinError::Full => (503, "overloaded", "too much waits in the groups of this tenant"),
    };
    AdaptorError { status, code: code.into(), message: message.into(), retry_after_ms: None }
}

impl From<Failure> for AdaptorError {
    fn from(failure: Failure) -> Self {
        let Failure { status, code, message, retry_after_ms } = failure;
        Self { status, code, message, retry_after_ms }
    }
}
