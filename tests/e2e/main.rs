//! Whole journeys through the real programs, started as a person starts them.

mod approval;
mod killed;
mod machine;
mod start;
