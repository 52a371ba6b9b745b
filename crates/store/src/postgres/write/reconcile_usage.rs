//! The sums of a run that is over, against its journal: the journal is the truth.
