//! Whole journeys through the real programs, started as a person starts them.

mod approval;
mod machine;
mod start;
