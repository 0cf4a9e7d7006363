//! Whether a full store is as fast as an empty one.

use std::time::Instant;

use anyhow::Result;

use crate::Bench;
use crate::feed::{self, Shape, Until};
use crate::options::FlatOptions;
use crate::report::{Bar, Figure, Report};
use crate::server::Server;
use crate::statistics::Takes;

/// Events whose rate is one point of the curve.
const STRETCH: usize = 50_000;

/// Sent before the first stretch, so that it is not the warm-up that is compared.
const WARM_UP: u64 = 10_000;

pub(crate) async fn measure(bench: &Bench, options: &FlatOptions, report: &mut Report) -> Result<()> {
    let total = options.total.unwrap_or(bench.options.choose(1_000_000, 200_000)).max(2 * STRETCH as u64);
    let shape = Shape { connections: options.connections.unwrap_or(32), runs: 8, idempotency: false };
    for store in bench.options.stores() {
        bench.say(&format!("flat: {total} events, {}", store.as_str()));
        let server = Server::start(bench, store).await?;
        let mut workspace = server.pair().await?;
        let mut warm = feed::feed(&server, &workspace, shape, Until::Sent(WARM_UP)).await?;
        let started = Instant::now();
        let mut fed = feed::feed(&server, &workspace, shape, Until::Sent(total - WARM_UP)).await?;
        let rates = rates(started, fed.acknowledged.iter().map(|event| event.at).collect());
        feed::verify(&mut workspace, &mut warm).await?;
        feed::verify(&mut workspace, &mut fed).await?;
        server.stop().await?;

        let (first, last) = (rates.first().copied().unwrap_or(f64::NAN), rates.last().copied().unwrap_or(f64::NAN));
        report.add(Figure {
            bar: Some(Bar::AtLeast(0.9)),
            baselines: vec![],
            detail: format!(
                "events/s for each {STRETCH}: {}",
                rates.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>().join(" ")
            ),
            ..Figure::new(
                "flat",
                format!("{}, last to first stretch", store.as_str()),
                "ratio",
                Takes::from(last / first),
            )
        });
        let mut takes = Takes::default();
        rates.iter().for_each(|rate| takes.push(*rate));
        report.add(Figure::new("flat", format!("{}, {total} events", store.as_str()), "events/s", takes));
    }
    report.note(format!("flat: {} connections; all {total} events were read back, without a gap", shape.connections));
    Ok(())
}

/// Events per second of each full stretch.
fn rates(started: Instant, mut times: Vec<Instant>) -> Vec<f64> {
    times.sort_unstable();
    let mut begin = started;
    let ends = times.chunks_exact(STRETCH).filter_map(|stretch| stretch.last());
    ends.map(|end| {
        let rate = STRETCH as f64 / (*end - begin).as_secs_f64();
        begin = *end;
        rate
    })
    .collect()
}
