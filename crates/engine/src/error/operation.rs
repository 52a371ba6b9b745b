//! Error types of operations: an enum per area, whose variants are the errors of what it calls.

use errand_api::error_code::ErrorCode;
use errand_model::run::Rejection;

/// Error with a stable code.
pub trait CodedError: std::error::Error {
    /// Returns the stable code. A full disk has its own, in every operation.
    fn code(&self) -> ErrorCode;

    /// Returns the error of the store, if it is one.
    fn store(&self) -> Option<&errand_store::Error> {
        None
    }

    /// Returns the refusal of the model, if it is one.
    fn rejection(&self) -> Option<&Rejection> {
        None
    }
}

impl<E: CodedError> CodedError for Box<E> {
    fn code(&self) -> ErrorCode {
        self.as_ref().code()
    }

    fn store(&self) -> Option<&errand_store::Error> {
        self.as_ref().store()
    }

    fn rejection(&self) -> Option<&Rejection> {
        self.as_ref().rejection()
    }
}

/// Implements [`CodedError`] for an enum whose variants each have an error with a code.
macro_rules! coded_by_variant {
    ($name:ident: $($variant:ident),+ $(,)?) => {
        impl $crate::error::CodedError for $name {
            fn code(&self) -> errand_api::error_code::ErrorCode {
                match self { $(Self::$variant(error) => $crate::error::CodedError::code(error),)+ }
            }

            fn store(&self) -> Option<&errand_store::Error> {
                match self { $(Self::$variant(error) => $crate::error::CodedError::store(error),)+ }
            }

            fn rejection(&self) -> Option<&errand_model::run::Rejection> {
                match self {
                    $(Self::$variant(error) => $crate::error::CodedError::rejection(error),)+
                }
            }
        }
    };
}

/// Defines the error type of an area: each variant has the error of one thing that the area calls
/// or finds. The error has the text and the code of that one, and converts into [`crate::Error`].
/// `from` names a cause that converts into the error of the variant.
macro_rules! operation_error {
    (
        $(#[$doc:meta])+
        $vis:vis enum $name:ident {
            $($(#[$of_variant:meta])+ $variant:ident($error:ty) $(from $cause:ty)?,)+
        }
    ) => {
        $(#[$doc])+
        #[derive(Debug, thiserror::Error)]
        $vis enum $name {
            $($(#[$of_variant])+ #[error(transparent)] $variant(#[from] $error),)+
        }

        $($(
            impl From<$cause> for $name {
                fn from(cause: $cause) -> Self {
                    Self::$variant(cause.into())
                }
            }
        )?)+

        $crate::error::coded_by_variant!($name: $($variant),+);

        impl From<$name> for $crate::Error {
            fn from(error: $name) -> Self {
                match error { $($name::$variant(error) => error.into(),)+ }
            }
        }
    };
}

pub(crate) use coded_by_variant;
pub(crate) use operation_error;
