//! Parameters of the path, the query and the headers.
//!
//! They decode as poem's do, refuse with the catalogue's error instead of poem's, and leave limits to the generated
//! checks, which say more; poem still writes the limits into its document.

use poem::{Request, RequestBody};
use poem_openapi::error::{ParseParamError, ParsePathError};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::ParseFromParameter;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, param};

use super::error::ApiError;
use crate::generated::errors::ErrorCode;

macro_rules! parameter {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        pub struct $name<T>(pub T);

        impl<'a, T: ParseFromParameter> ApiExtractor<'a> for $name<T> {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
            const PARAM_IS_REQUIRED: bool = T::IS_REQUIRED;
            type ParamType = T;
            type ParamRawType = T::RawValueType;

            fn register(registry: &mut Registry) {
                T::register(registry);
            }

            fn param_in() -> Option<MetaParamIn> {
                param::$name::<T>::param_in()
            }

            fn param_schema_ref() -> Option<MetaSchemaRef> {
                Some(T::schema_ref())
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                options: ExtractParamOptions<T>,
            ) -> poem::Result<Self> {
                match param::$name::from_request(request, body, options).await {
                    Ok(param::$name(value)) => Ok(Self(value)),
                    Err(error) => Err(refuse(error)),
                }
            }
        }
    };
}

parameter! {
    /// A part of the path.
    Path
}
parameter! {
    /// A parameter of the query; a list is written as repeated keys.
    Query
}
parameter! {
    /// A header.
    Header
}

fn refuse(error: poem::Error) -> poem::Error {
    let (name, reason) = if let Some(error) = error.downcast_ref::<ParseParamError>() {
        (error.name, &error.reason)
    } else if let Some(error) = error.downcast_ref::<ParsePathError>() {
        (error.name, &error.reason)
    } else {
        return error;
    };
    ApiError::new(ErrorCode::InvalidRequest).detail(name, plain(reason)).into()
}

/// poem's reason without the names of Rust types around it.
pub(super) fn plain(reason: &str) -> &str {
    if reason.ends_with("expects an input value.") {
        return "is missing";
    }
    let reason = reason.split_once(" (occurred while").map_or(reason, |(inner, _)| inner);
    let inner = reason.strip_prefix("failed to parse \"");
    inner.and_then(|rest| rest.split_once("\": ")).map_or(reason, |(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_do_not_speak_of_rust() {
        for (reason, expected) in [
            ("Type \"string\" expects an input value.", "is missing"),
            ("failed to parse \"integer(uint64)\": invalid digit found in string", "invalid digit found in string"),
            ("failed to parse \"Color\": no value. (occurred while parsing \"list_Color\")", "no value."),
            ("something else", "something else"),
        ] {
            assert_eq!(plain(reason), expected);
        }
    }
}
