//! Mark of a request that came by a bus.

/// Number of an order from a bus; stored in the extensions of its request, where no client can put it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderNumber(pub(crate) u32);
