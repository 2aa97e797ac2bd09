//! Watches the gateway while it is loaded: memory, descriptors, gauges; and paces the load by the
//! processor time that all of it takes.

use crate::client::{Client, Gauges};
use crate::error::Fallible;
use crate::server::own_usage;
use crate::stage::Stage;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::watch::Sender;

const PACING: Duration = Duration::from_secs(1);

/// The gateway at one moment.
#[derive(Serialize)]
pub struct Sample {
    /// Minutes since the load began.
    pub minute: f64,
    /// Its resident memory.
    pub rss_kib: u64,
    /// Its open file descriptors.
    pub descriptors: usize,
    /// The part of all cores that it, the load and the backend have taken since the sample before.
    pub cores_busy: f64,
    /// Its gauges.
    pub gauges: Gauges,
}

/// How to watch.
pub struct Watch {
    /// Between two samples.
    pub every: Duration,
    /// The part of all cores to take.
    pub busy: f64,
    /// Where the part of their pace at which good requests begin is told.
    pub scale: Sender<f64>,
}

/// Processor time of the gateway and of this process.
struct Meter {
    since: Instant,
    cpu: Duration,
}

impl Meter {
    fn start(stage: &Stage) -> Fallible<Self> {
        Ok(Self { since: Instant::now(), cpu: stage.gateway.server.usage()?.cpu + own_usage().cpu })
    }

    /// The part of all cores that was taken since the last time.
    fn turn(&mut self, stage: &Stage) -> Fallible<f64> {
        let now = Self::start(stage)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let cpu = now.cpu.saturating_sub(self.cpu).as_secs_f64();
        let busy = cpu / now.since.duration_since(self.since).as_secs_f64() / cores;
        *self = now;
        Ok(busy)
    }
}

impl Watch {
    /// Watches until it is dropped; `each` gets the samples.
    pub async fn run(
        &self,
        stage: &Stage,
        observer: &mut Client,
        mut each: impl FnMut(Sample),
    ) -> Fallible<()> {
        let began = Instant::now();
        let (mut pace_meter, mut meter) = (Meter::start(stage)?, Meter::start(stage)?);
        let mut due = self.every;
        loop {
            tokio::time::sleep(PACING.min(self.every)).await;
            let busy = pace_meter.turn(stage)?;
            self.scale.send_modify(|scale| *scale = next_scale(*scale, busy, self.busy));
            if began.elapsed() >= due {
                due += self.every;
                each(Sample {
                    minute: began.elapsed().as_secs_f64() / 60.0,
                    rss_kib: stage.gateway.server.resident_kib()?,
                    descriptors: stage.gateway.server.descriptors()?,
                    cores_busy: meter.turn(stage)?,
                    gauges: observer.gauges().await?,
                });
                stage.gateway.server.trim_logs();
            }
        }
    }
}

/// A step towards the load that is wanted: no larger than a quarter, for the next figure is not known yet.
fn next_scale(scale: f64, busy: f64, wanted: f64) -> f64 {
    let step = (wanted / busy.max(0.01)).clamp(0.8, 1.25);
    (scale * step).clamp(0.02, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_machine_in_steps() {
        assert_eq!(next_scale(0.5, 0.55, 0.55), 0.5);
        assert!(next_scale(0.5, 0.9, 0.55) < 0.5);
        assert!(next_scale(0.5, 0.9, 0.55) >= 0.4);
        assert!(next_scale(0.5, 0.5, 0.55) > 0.5);
        assert_eq!(next_scale(1.0, 0.0, 0.55), 1.0);
        assert_eq!(next_scale(0.02, 1.0, 0.55), 0.02);
    }
}
