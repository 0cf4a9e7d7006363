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
    ApiError::new(ErrorCode::InvalidRequest)
        .detail(name, reason)
        .into()
}
