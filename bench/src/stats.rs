//! Figures from many values: percentiles, slopes, and whether memory grows.

use crate::summary::median;
use serde::Serialize;
use std::time::Duration;

/// More than this, and above `GROWTH`, is growth that does not end.
const SLOPE_KIB_PER_MINUTE: f64 = 100.0;
/// Growth that is put down to caches that fill.
const GROWTH: f64 = 0.10;
/// Samples at either end that are taken together: a single one may have met a request that holds memory.
const AT_AN_END: usize = 5;

/// How values are spread, in milliseconds.
#[derive(Clone, Serialize)]
pub struct Spread {
    /// How many there were.
    pub count: usize,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Spread {
    /// None of nothing.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        Some(Self {
            count: times.len(),
            p50_ms: percentile(&times, 0.50)?,
            p99_ms: percentile(&times, 0.99)?,
            max_ms: *times.last()?,
        })
    }
}

/// The smallest of the sorted values that at least `part` of them do not exceed.
pub fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    // In range: `part` is from 0 to 1 and no list is longer than an f64 counts exactly.
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The slope of the line that fits the points best, by least squares. None unless x varies.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x_sum, y_sum) = points.iter().fold((0.0, 0.0), |(x_sum, y_sum), (x, y)| (x_sum + x, y_sum + y));
    let (x_mean, y_mean) = (x_sum / count, y_sum / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - x_mean) * (y - y_mean), below + (x - x_mean).powi(2))
    });
    (below > 0.0).then(|| above / below)
}

/// How resident memory went after a warm-up.
#[derive(Serialize)]
pub struct Memory {
    /// After the warm-up: the median of the first samples.
    pub warm_kib: f64,
    /// At the end: the median of the last samples.
    pub end_kib: f64,
    /// The end's part above the beginning.
    pub growth: f64,
    /// The line through all samples after the warm-up.
    pub slope_kib_per_minute: f64,
}

impl Memory {
    /// From samples of (minute, KiB), without those before `warm_minute`. None where two are not left.
    pub fn of(samples: &[(f64, f64)], warm_minute: f64) -> Option<Self> {
        let warm = samples.iter().filter(|(minute, _)| *minute >= warm_minute);
        let warm: Vec<(f64, f64)> = warm.copied().collect();
        let slope_kib_per_minute = slope(&warm)?;
        let kib = || warm.iter().map(|(_, kib)| *kib);
        let warm_kib = median(kib().take(AT_AN_END))?;
        let end_kib = median(kib().rev().take(AT_AN_END))?;
        Some(Self { warm_kib, end_kib, growth: end_kib / warm_kib - 1.0, slope_kib_per_minute })
    }

    /// Says so where memory grows without an end in sight.
    pub fn fault(&self) -> Option<String> {
        let grows = self.slope_kib_per_minute > SLOPE_KIB_PER_MINUTE && self.growth > GROWTH;
        grows.then(|| {
            let (slope, growth) = (self.slope_kib_per_minute, self.growth * 100.0);
            format!("memory grows by {slope:.0} KiB a minute, {growth:.1} % in all")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.50), Some(50.0));
        assert_eq!(percentile(&hundred, 0.99), Some(99.0));
        assert_eq!(percentile(&hundred, 1.0), Some(100.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[1.0, 2.0], 0.99), Some(2.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_spread_sorts() {
        let spread = Spread::of([30, 10, 20].map(Duration::from_millis));
        assert!(spread.is_some_and(|s| (s.count, s.p50_ms, s.p99_ms, s.max_ms) == (3, 20.0, 30.0, 30.0)));
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn a_slope_is_that_of_the_line() {
        assert_eq!(slope(&[(0.0, 5.0), (1.0, 7.0), (2.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 4.0), (2.0, 1.0)]), Some(0.0));
        assert_eq!(slope(&[(0.0, 3.0), (1.0, 2.0)]), Some(-1.0));
        assert_eq!(slope(&[(1.0, 3.0), (1.0, 2.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn memory_counts_from_the_end_of_the_warm_up() {
        let line = |from: f64, step: f64| {
            let sample =
                move |at: u32| (f64::from(at), if at < 10 { 1.0 } else { from + step * f64::from(at) });
            (0..30).map(sample).collect::<Vec<_>>()
        };
        let of = |from, step| Memory::of(&line(from, step), 10.0);
        let flat = of(1000.0, 0.0);
        assert!(flat.is_some_and(|m| m.fault().is_none() && m.warm_kib == 1000.0 && m.growth == 0.0));
        let steep = of(1000.0, 200.0);
        assert!(steep.is_some_and(|m| m.slope_kib_per_minute.round() == 200.0 && m.fault().is_some()));
        // Steep, but little of what there is; and much of what there is, but slowly.
        assert!(of(1e6, 200.0).is_some_and(|m| m.fault().is_none()));
        assert!(of(100.0, 90.0).is_some_and(|m| m.growth > 1.0 && m.fault().is_none()));
        assert!(Memory::of(&[(0.0, 1.0), (1.0, 1.0)], 1.0).is_none());
    }
}
