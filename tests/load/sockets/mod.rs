//! What the sockets do: how fast an event reaches those who follow it, how fast history comes, what an idle socket costs,
//! and whether one that does not read disturbs the others.

mod bare;
mod client;
mod fan_out;
mod idle;
mod latency;
mod replay;
mod stalled;

pub(crate) use bare::serve as serve_bare;
pub(crate) use client::Socket;

use anyhow::Result;

use crate::Bench;
use crate::options::SocketOptions;
use crate::report::Report;

pub(crate) async fn measure(bench: &Bench, options: &SocketOptions, report: &mut Report) -> Result<()> {
    fan_out::measure(bench, options, report).await?;
    latency::measure(bench, options, report).await?;
    replay::measure(bench, options, report).await?;
    stalled::measure(bench, options, report).await?;
    idle::measure(bench, options, report).await
}
