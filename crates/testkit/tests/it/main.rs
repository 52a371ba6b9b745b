//! The test kit tests itself on `sh`, so that what it reports about errand can be believed.

mod sandbox;
mod text;
