//! Not public.
