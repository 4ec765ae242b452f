//! The methods of routes. A path with several methods names all of them when it refuses another.

use http::Method;
use warp::Filter;
use warp::reject::{Rejection, custom};

use crate::server::response::WrongMethod;

/// `GET`, and `HEAD`, for which hyper omits the body.
pub(super) fn get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
}

pub(super) fn post() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::POST, "POST")
}

const GET_AND_PUT: &str = "GET, HEAD, PUT";

pub(super) fn get_beside_put() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), GET_AND_PUT)
}

pub(super) fn put_beside_get() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::PUT, GET_AND_PUT)
}

const PUT_AND_DELETE: &str = "PUT, DELETE";

pub(super) fn put_beside_delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::PUT, PUT_AND_DELETE)
}

pub(super) fn delete_beside_put() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::DELETE, PUT_AND_DELETE)
}

const GET_AND_DELETE: &str = "GET, HEAD, DELETE";

pub(super) fn get_beside_delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| matches!(*method, Method::GET | Method::HEAD), GET_AND_DELETE)
}

pub(super) fn delete() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    only(|method| *method == Method::DELETE, GET_AND_DELETE)
}

fn only(
    accepts: fn(&Method) -> bool,
    allow: &'static str,
) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::method()
        .and_then(move |method: Method| async move {
            if accepts(&method) { Ok(()) } else { Err(custom(WrongMethod(allow))) }
        })
        .untuple_one()
}
