//! Clocks, chance and waiting: what a guest can tell one run from another by, beside what it asks the gateway for. They
//! are WASI's own, linked a second time, so that a witness sees them or answers in their place.

use wasmtime::{
    Result,
    component::{HasSelf, Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{
    clocks::WasiClocksView as _,
    p2::{
        DynPollable,
        bindings::{
            clocks::{
                monotonic_clock,
                wall_clock::{self, Datetime},
            },
            io::poll,
            random::{insecure, insecure_seed, random},
        },
    },
};

use crate::{
    Witness,
    call::CallState,
    witness::{Asking, Chance, Clock, Step},
};

const SECOND: u64 = 1_000_000_000;

/// Puts these in the place of those that are linked.
pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> Result<()> {
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    wall_clock::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    random::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    insecure::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    insecure_seed::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    poll::add_to_linker::<_, HasSelf<_>>(linker, |s| s)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl CallState {
    pub(crate) fn witness(&self) -> Option<&Witness> {
        self.hooks.egress.witness()
    }

    /// A question to one of the gateway's own interfaces.
    pub(crate) fn asking(&self, import: &'static str, with: impl FnOnce() -> serde_json::Value) -> Asking {
        Asking::new(self.witness(), import, with)
    }

    fn is_replay(&self) -> bool {
        self.witness().is_some_and(|witness| witness.source().is_some())
    }

    fn chance(
        &mut self,
        chance: Chance,
        length: u64,
        real: impl FnOnce(&mut Self) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        match self.witness().cloned() {
            None => real(self),
            Some(witness) => witness.chance(chance, length, || real(self)),
        }
    }
}

impl monotonic_clock::Host for CallState {
    fn now(&mut self) -> Result<u64> {
        match self.witness().cloned() {
            None => monotonic_clock::Host::now(&mut self.clocks()),
            Some(witness) => {
                witness.clock(Clock::Monotonic, || monotonic_clock::Host::now(&mut self.clocks()))
            }
        }
    }

    fn resolution(&mut self) -> Result<u64> {
        monotonic_clock::Host::resolution(&mut self.clocks())
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        if self.is_replay() {
            return self.subscribe_duration(0);
        }
        monotonic_clock::Host::subscribe_instant(&mut self.clocks(), when)
    }

    /// In a replay it is the recording that says when the time is up.
    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        let duration = if self.is_replay() { 0 } else { duration };
        monotonic_clock::Host::subscribe_duration(&mut self.clocks(), duration)
    }
}

impl wall_clock::Host for CallState {
    fn now(&mut self) -> Result<Datetime> {
        let Some(witness) = self.witness().cloned() else {
            return wall_clock::Host::now(&mut self.clocks());
        };
        let ns = witness.clock(Clock::Wall, || {
            let Datetime { seconds, nanoseconds } = wall_clock::Host::now(&mut self.clocks())?;
            Ok(seconds.saturating_mul(SECOND).saturating_add(nanoseconds.into()))
        })?;
        Ok(Datetime { seconds: ns / SECOND, nanoseconds: u32::try_from(ns % SECOND).unwrap_or_default() })
    }

    fn resolution(&mut self) -> Result<Datetime> {
        wall_clock::Host::resolution(&mut self.clocks())
    }
}

fn to_u64(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl random::Host for CallState {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.chance(Chance::Secure, len, |state| random::Host::get_random_bytes(state.random(), len))
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        let drawn = self.chance(Chance::Secure, 8, |state| {
            Ok(random::Host::get_random_u64(state.random())?.to_le_bytes().to_vec())
        });
        drawn.map(|bytes| to_u64(&bytes))
    }
}

impl insecure::Host for CallState {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.chance(Chance::Insecure, len, |state| {
            insecure::Host::get_insecure_random_bytes(state.random(), len)
        })
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        let drawn = self.chance(Chance::Insecure, 8, |state| {
            Ok(insecure::Host::get_insecure_random_u64(state.random())?.to_le_bytes().to_vec())
        });
        drawn.map(|bytes| to_u64(&bytes))
    }
}

impl insecure_seed::Host for CallState {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        let drawn = self.chance(Chance::Seed, 16, |state| {
            let (low, high) = insecure_seed::Host::insecure_seed(state.random())?;
            Ok([low.to_le_bytes(), high.to_le_bytes()].concat())
        });
        drawn.map(|bytes| (to_u64(&bytes), to_u64(bytes.get(8..).unwrap_or_default())))
    }
}

impl CallState {
    /// Waits with `real`, and notes what was ready. In a replay the recording says what is, and it is made so.
    async fn waited(
        &mut self,
        witness: &Witness,
        pollables: Vec<Resource<DynPollable>>,
        real: impl AsyncFnOnce(&mut ResourceTable, Vec<Resource<DynPollable>>) -> Result<Vec<u32>>,
    ) -> Result<Vec<u32>> {
        let of = pollables.len();
        let ready = match witness.source() {
            None => real(&mut self.table, pollables).await?,
            Some(source) => {
                let Some(ready) = source.polled(of)? else { return std::future::pending().await };
                let handle = |at: &u32| pollables.get(usize::try_from(*at).ok()?).map(Resource::rep);
                let handles: Vec<u32> = ready.iter().filter_map(handle).collect();
                for handle in handles {
                    poll::HostPollable::block(&mut self.table, Resource::new_borrow(handle)).await?;
                }
                ready
            }
        };
        witness.saw(&Step::Poll { of, ready: ready.clone() });
        Ok(ready)
    }
}

impl poll::Host for CallState {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        match self.witness().cloned() {
            None => poll::Host::poll(&mut self.table, pollables).await,
            Some(witness) => {
                let real = async |table: &mut ResourceTable, all| poll::Host::poll(table, all).await;
                self.waited(&witness, pollables, real).await
            }
        }
    }
}

impl poll::HostPollable for CallState {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        let Some(witness) = self.witness().cloned() else {
            return poll::HostPollable::ready(&mut self.table, pollable).await;
        };
        let real = async |table: &mut ResourceTable, all: Vec<_>| {
            for one in all {
                if poll::HostPollable::ready(table, one).await? {
                    return Ok(vec![0]);
                }
            }
            Ok(Vec::new())
        };
        Ok(!self.waited(&witness, vec![pollable], real).await?.is_empty())
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        let Some(witness) = self.witness().cloned() else {
            return poll::HostPollable::block(&mut self.table, pollable).await;
        };
        let real = async |table: &mut ResourceTable, all| poll::Host::poll(table, all).await;
        self.waited(&witness, vec![pollable], real).await.map(drop)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(&mut self.table, pollable)
    }
}
