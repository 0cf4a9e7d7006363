//! The parameters of a socket, from the query of the request that opens it. They decode as those of an operation do.

use std::borrow::Cow;

use poem_openapi::types::ParseFromParameter;
use url::form_urlencoded;

use crate::generated::errors::ErrorCode;
use crate::support::error::ApiError;
use crate::support::parameter::plain;

/// A query, taken apart. What nothing asks for is ignored.
#[derive(Debug)]
pub struct QueryParameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> QueryParameters<'a> {
    /// `query` is without the question mark, and still encoded.
    #[must_use]
    pub fn new(query: &'a str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// A parameter; an `Option` may be missing, and a list is written as repeated keys.
    ///
    /// # Errors
    ///
    /// `invalid_request` with the parameter's name: it is missing, or not a `T`.
    pub fn get<T: ParseFromParameter>(&self, name: &str) -> Result<T, ApiError> {
        let values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone());
        T::parse_from_parameters(values).map_err(|error| {
            let reason = error.into_message();
            ApiError::new(ErrorCode::InvalidRequest).detail(name, plain(&reason))
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn reason(error: ApiError) -> (ErrorCode, String, String) {
        let [detail] = error.details.try_into().expect("it has one detail");
        (error.code, detail.path, detail.message)
    }

    #[test]
    fn parameters_are_decoded() {
        let id = "0190a1b2-0000-7000-8000-000000000001";
        let text = format!("id={id}&name=a%20b+c&tag=1&tag=2&new_in_version_9=x");
        let query = QueryParameters::new(&text);
        assert_eq!(query.get::<Uuid>("id"), Ok(id.parse().expect("it is one")));
        assert_eq!(query.get::<Option<String>>("name"), Ok(Some("a b c".to_owned())));
        assert_eq!(query.get::<Vec<u64>>("tag"), Ok(vec![1, 2]));
        assert_eq!(query.get::<Option<u64>>("missing"), Ok(None));
        assert_eq!(query.get::<Option<Vec<u64>>>("missing"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_name() {
        let query = QueryParameters::new("id=no&empty=");
        let missing = query.get::<Uuid>("missing").expect_err("it is not there");
        assert_eq!(reason(missing), (ErrorCode::InvalidRequest, "missing".to_owned(), "is missing".to_owned()));
        for name in ["id", "empty"] {
            let (code, path, message) = reason(query.get::<Uuid>(name).expect_err("it is not a UUID"));
            assert_eq!((code, path.as_str()), (ErrorCode::InvalidRequest, name));
            assert!(!message.contains("failed to parse"), "{message}");
        }
    }
}
