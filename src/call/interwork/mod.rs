//! One file for each thing that a leg may ask for and that is answered on that leg, never across.

pub mod reinvite;
