//! What the internet announces, and where a member's address is: routes by BMP, MRT and file, and GeoIP.
//! Never opens a socket; never decides who serves whom.

#![forbid(unsafe_code)]
