//! One CloudTrail record: members in, one JSON object out, in AWS's key order and with AWS's optional members left out when
//! they do not apply. Members that are themselves JSON (`identity`, `request`, `response`, `resources`, ...) come in written.

use crate::{clock::push_rfc3339, json::push_quoted};

/// The members of a record. `Default` gives an ordinary management call.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) version: &'a str,
    /// JSON.
    pub(crate) identity: &'a str,
    pub(crate) at: i64,
    /// The service without `.amazonaws.com`.
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) region: &'a str,
    pub(crate) address: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) error: Option<&'a str>,
    pub(crate) error_message: Option<&'a str>,
    /// JSON; `null` when absent, as AWS writes it.
    pub(crate) request: Option<&'a str>,
    /// JSON; `null` when absent.
    pub(crate) response: Option<&'a str>,
    /// JSON; left out when absent.
    pub(crate) additional: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) event_id: &'a str,
    pub(crate) read_only: bool,
    /// JSON; left out when absent.
    pub(crate) resources: Option<&'a str>,
    pub(crate) event_type: &'a str,
    pub(crate) account: &'a str,
    pub(crate) shared_id: Option<&'a str>,
    pub(crate) endpoint: Option<&'a str>,
    /// The account that owns the endpoint.
    pub(crate) endpoint_account: Option<&'a str>,
    /// Whether the caller's own connection was seen; services acting for somebody show no TLS.
    pub(crate) tls: bool,
    pub(crate) from_console: bool,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            version: "1.11",
            identity: "{}",
            at: 0,
            service: "",
            name: "",
            region: "",
            address: "",
            user_agent: "",
            error: None,
            error_message: None,
            request: None,
            response: None,
            additional: None,
            request_id: "",
            event_id: "",
            read_only: true,
            resources: None,
            event_type: "AwsApiCall",
            account: "",
            shared_id: None,
            endpoint: None,
            endpoint_account: None,
            tls: true,
            from_console: false,
        }
    }
}

impl Record<'_> {
    /// Appends the record.
    pub(crate) fn write(&self, out: &mut String) {
        let text = |out: &mut String, key: &str, value: &str| {
            out.push_str(key);
            push_quoted(out, value);
        };
        out.push_str("{\"eventVersion\":\"");
        out.push_str(self.version);
        out.push_str("\",\"userIdentity\":");
        out.push_str(self.identity);
        out.push_str(",\"eventTime\":\"");
        push_rfc3339(out, self.at);
        out.push_str("\",\"eventSource\":\"");
        out.push_str(self.service);
        out.push_str(".amazonaws.com\",\"eventName\":\"");
        out.push_str(self.name);
        out.push_str("\",\"awsRegion\":\"");
        out.push_str(self.region);
        text(out, "\",\"sourceIPAddress\":", self.address);
        text(out, ",\"userAgent\":", self.user_agent);
        if let Some(error) = self.error {
            text(out, ",\"errorCode\":", error);
        }
        if let Some(message) = self.error_message {
            text(out, ",\"errorMessage\":", message);
        }
        out.push_str(",\"requestParameters\":");
        out.push_str(self.request.unwrap_or("null"));
        out.push_str(",\"responseElements\":");
        out.push_str(self.response.unwrap_or("null"));
        if let Some(additional) = self.additional {
            out.push_str(",\"additionalEventData\":");
            out.push_str(additional);
        }
        text(out, ",\"requestID\":", self.request_id);
        out.push_str(",\"eventID\":\"");
        out.push_str(self.event_id);
        out.push_str(if self.read_only { "\",\"readOnly\":true" } else { "\",\"readOnly\":false" });
        if let Some(resources) = self.resources {
            out.push_str(",\"resources\":");
            out.push_str(resources);
        }
        out.push_str(",\"eventType\":\"");
        out.push_str(self.event_type);
        out.push_str("\",\"managementEvent\":true,\"recipientAccountId\":\"");
        out.push_str(self.account);
        out.push('"');
        if let Some(shared) = self.shared_id {
            text(out, ",\"sharedEventID\":", shared);
        }
        if let Some(endpoint) = self.endpoint {
            text(out, ",\"vpcEndpointId\":", endpoint);
            if let Some(account) = self.endpoint_account {
                text(out, ",\"vpcEndpointAccountId\":", account);
            }
        }
        out.push_str(",\"eventCategory\":\"Management\"");
        if self.tls {
            out.push_str(",\"tlsDetails\":{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\"");
            out.push_str(self.service);
            out.push('.');
            out.push_str(self.region);
            out.push_str(".amazonaws.com\"}");
        }
        if self.from_console {
            out.push_str(",\"sessionCredentialFromConsole\":\"true\"");
        }
        out.push('}');
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::with_capacity(1_800);
        self.write(&mut out);
        out
    }
}
