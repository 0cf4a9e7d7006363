//! The front end of the generator, from files to the model and back onto the disk, on specs made for it in
//! `tests/specs`: `good` uses every construct of the profile, and each folder in `broken` is `good` with a few files
//! put on top and what the generator says about it.

mod broken;
mod commands;
mod difference;
mod good;
mod hostile;
mod readme;
mod snapshot;
mod specs;
