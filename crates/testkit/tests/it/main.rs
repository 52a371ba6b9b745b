//! Tests of the test kit itself on `sh`, so that its reports about errand can be trusted.

mod sandbox;
mod seams;
mod text;
