//! The list of areas with an error of their own, for programs that show all of them in one way.

/// Implements `From` for each of the areas' errors that every program shows like the same error of
/// the whole engine. A program with other areas to show adds them itself.
#[macro_export]
macro_rules! from_area_errors {
    ($to:ty) => {
        $crate::from_area_errors!(
            $to:
            $crate::admit::Error,
            $crate::again::Error,
            $crate::ask::Error,
            $crate::audit::Error,
            $crate::bom::Error,
            $crate::catalog::Error,
            $crate::dependencies::Error,
            $crate::error::IoFailure,
            $crate::error::NoRandomness,
            $crate::error::PayloadRefused,
            $crate::evidence::Error,
            $crate::garbage::Error,
            $crate::launch::Error,
            $crate::log::Error,
            $crate::logs::Error,
            $crate::outbox::Error,
            $crate::payload::Error,
            $crate::people::Error,
            $crate::prices::Error,
            $crate::reconcile::Error,
            $crate::record_file::Error,
            $crate::remove::Error,
            $crate::replay::Error,
            $crate::sessions::Error,
            $crate::submission::Error,
            $crate::submit::Error,
            $crate::tasks::Error,
            $crate::values::Error,
            $crate::workers::Error,
        );
    };
    ($to:ty: $($error:ty),+ $(,)?) => {
        $(
            impl From<$error> for $to {
                fn from(error: $error) -> Self {
                    $crate::Error::from(error).into()
                }
            }
        )+
    };
}
