//! A call under way: from the provider to its client and into the journal.

use std::sync::Arc;
use std::time::Duration;

use errand_agent::agent_api::{ModelCallEnd, ModelCallResult, Refusal, StepCallResult};
use errand_api::catalog::FallbackCause;
use errand_api::error_code::ErrorCode;
use errand_model::event::Failure;
use errand_wire::refusal::RefusalCause;
use errand_wire::{
    AnswerDecoder, AnswerShape, DecodedEvent, EndReason, ModelAnswer, UsageChunkFilter, WireCall,
    WireEvent, WireFormat,
};
use http_body_util::{BodyExt as _, Collected};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::RecordedAnswer;
use crate::bounds;
use crate::broken_off::BrokenOff;
use crate::burst::Burst;
use crate::context::DoorContext;
use crate::decided::{self, AnsweredCall, ReplacedAnswer, SeenAnswer};
use crate::headers;
use crate::keep_alive::{self, keep_alive};
use crate::ledger::Occurrence;
use crate::refuse::ClientShape;
use crate::sampled::SampledCall;
use crate::transcript::{AnswerEnd, AnswerHead};
use crate::tries::{self, AskedRequest, CallTry, TryFailure, UpstreamRequest};
use crate::usage::{CallTimes, ExpectedUsage, TriedCall};

/// A call that was begun in the journal.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) door: Arc<DoorContext>,
    pub(crate) asked: AskedRequest,
    /// Try under way.
    pub(crate) current: CallTry,
    pub(crate) expected: ExpectedUsage,
    pub(crate) shape: ClientShape,
    pub(crate) call: WireCall,
    pub(crate) occurrence: Occurrence,
    /// Key of the step.
    pub(crate) key: String,
    pub(crate) reservation_id: String,
    pub(crate) sampled: SampledCall,
}

/// Answer to a try, as far as it decides about the next.
#[derive(Debug)]
enum TryAnswer {
    /// The answer, which is handed on while it is received.
    Begun(AnswerHead, reqwest::Response),
    /// An answer that is an error, with its body.
    Refused(AnswerHead, Vec<u8>, TryFailure),
    /// There is no answer.
    Absent(TryFailure),
}

/// An answer as far as it was received.
#[derive(Debug)]
struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    pieces: Vec<(u64, u64)>,
    answer: ModelAnswer,
    first_content: Option<Duration>,
    /// Bytes that the client gets once the end is recorded.
    held: Vec<u8>,
    /// The content has ended: what follows is held.
    is_held: bool,
    /// Policies decide about the whole answer before the client gets any of it.
    holds_all: bool,
    shape: AnswerShape,
    filter: Option<UsageChunkFilter>,
    decoder: AnswerDecoder,
}

impl Pump {
    /// Makes the call, and records its end.
    pub(crate) async fn run(mut self) {
        loop {
            let began = Instant::now();
            let answer = self.answer(began).await;
            let failure = match &answer {
                TryAnswer::Begun(..) => None,
                TryAnswer::Refused(_, _, failure) | TryAnswer::Absent(failure) => Some(failure),
            };
            let next = failure.and_then(|failure| Some((failure, self.next(failure)?)));
            let refused = match next {
                Some((failure, next)) => {
                    let tried = (&self.tried(), self.key.as_str(), self.reservation_id.as_str());
                    match failure.fall_back(&self.door, tried, &next).await {
                        Ok(reservation_id) => {
                            (self.current, self.reservation_id) = (next, reservation_id);
                            continue;
                        }
                        Err(refusal) => Some((next, refusal)),
                    }
                }
                None => None,
            };
            let left_out = refused.map(|(next, refusal)| tries::not_called(&next, &refusal));
            return match answer {
                TryAnswer::Begun(head, response) => self.pass_on(began, head, response).await,
                TryAnswer::Refused(head, body, failure) => {
                    self.refused((head, body), failure, left_out).await;
                }
                TryAnswer::Absent(failure) => self.unreachable(failure, left_out).await,
            };
        }
    }

    /// Returns the try that follows a failed one, if its route has one and a client still waits.
    fn next(&self, failure: &TryFailure) -> Option<CallTry> {
        let way = self.asked.way.as_ref()?;
        let cause = failure.cause.filter(|cause| way.falls_back_on(*cause));
        let is_wanted = !self.occurrence.transcript.is_abandoned() && !self.door.is_drained();
        cause.filter(|_| is_wanted)?;
        self.asked.attempt(self.current.number + 1, &self.call)
    }

    /// Makes the try under way, and waits until its answer begins.
    async fn answer(&self, began: Instant) -> TryAnswer {
        let late = |message: &str| Err((FallbackCause::Timeout, message.to_owned()));
        // The provider may answer later, and ask money for it: such a try counts as reserved.
        let sent = tokio::select! {
            sent = self.sent_in_time() => sent,
            () = self.occurrence.transcript.abandoned_for(bounds::READ_ON) => {
                late("the client hung up before an answer began")
            }
            () = self.door.drained() => late("the attempt ended before an answer began"),
        };
        let provider = self.current.provider.name.as_str();
        let mut response = match sent {
            Ok(response) => response,
            Err((cause, message)) => {
                let message = format!("{provider}: {message}");
                let took = began.elapsed();
                let cause = Some(cause);
                return TryAnswer::Absent(TryFailure { cause, status: None, message, took });
            }
        };
        let status = response.status();
        let mut response_headers = response.headers().clone();
        headers::for_client(&mut response_headers);
        let head = AnswerHead { status, headers: response_headers };
        if status.is_success() {
            return TryAnswer::Begun(head, response);
        }
        let mut body = Vec::new();
        while body.len() < bounds::ANSWER_BYTES
            && let Ok(Some(bytes)) = response.chunk().await
        {
            body.extend_from_slice(&bytes);
        }
        let excerpt: String = String::from_utf8_lossy(&body).chars().take(EXCERPT_CHARS).collect();
        let failure = TryFailure {
            cause: TryFailure::of_status(status),
            status: Some(status),
            message: tries::one_line(&format!("{provider} answered {status}: {excerpt}")),
            took: began.elapsed(),
        };
        TryAnswer::Refused(head, body, failure)
    }

    /// Sends the request, and waits for the head of the answer as long as the route says.
    async fn sent_in_time(&self) -> Result<reqwest::Response, (FallbackCause, String)> {
        let limit = self.asked.way.as_ref().and_then(|way| way.timeout);
        let Some(limit) = limit else { return self.sent().await };
        tokio::time::timeout(limit, self.sent()).await.unwrap_or_else(|_| {
            let message = format!("no answer began within {} ms", limit.as_millis());
            Err((FallbackCause::Timeout, message))
        })
    }

    async fn sent(&self) -> Result<reqwest::Response, (FallbackCause, String)> {
        let client = self.door.client().map_err(|error| (FallbackCause::Unreachable, error))?;
        let UpstreamRequest { method, url, headers, body } = self.current.request.clone();
        let sent = client.request(method, url).headers(headers).body(body).send();
        sent.await.map_err(|error| {
            let is_late = error.is_timeout() && !error.is_connect();
            let cause = if is_late { FallbackCause::Timeout } else { FallbackCause::Unreachable };
            (cause, tries::chain(&error))
        })
    }

    /// The call with the try under way.
    fn tried(&self) -> TriedCall<'_> {
        TriedCall {
            call: &self.call,
            expected: self.expected,
            provider: self.current.provider.name.as_str(),
            model: self.current.model.as_deref(),
            number: self.current.number,
            route: self.asked.route(),
        }
    }

    /// Ends a call whose provider did not answer.
    async fn unreachable(self, failure: TryFailure, left_out: Option<String>) {
        let usage = failure.usage(&self.tried());
        let message = failure.message;
        let code = ErrorCode::ProviderUnreachable;
        let failure = Failure::new(code, tries::joined(&message, left_out));
        // A call that cannot be recorded is refused all the same.
        drop(self.ended(usage, ModelCallResult::Failed(failure)).await);
        let refusal = self.shape.refusal(RefusalCause::Unreachable, code, &message);
        let (parts, body) = refusal.into_parts();
        let head = AnswerHead { status: parts.status, headers: parts.headers };
        let bytes = body.collect().await;
        self.occurrence.transcript.begin(head);
        self.occurrence.transcript.push(bytes.map(Collected::to_bytes).unwrap_or_default());
        self.occurrence.transcript.end(AnswerEnd::Whole);
    }

    /// Hands on an answer that is an error, once that is recorded.
    async fn refused(
        self,
        (head, body): (AnswerHead, Vec<u8>),
        failure: TryFailure,
        left_out: Option<String>,
    ) {
        let failure =
            Failure::new(ErrorCode::ProviderRefused, tries::joined(&failure.message, left_out));
        drop(self.ended(None, ModelCallResult::Failed(failure)).await);
        self.occurrence.transcript.begin(head);
        self.occurrence.transcript.push(body.into());
        self.occurrence.transcript.end(AnswerEnd::Whole);
    }

    /// Hands an answer on while it is received, and its last bytes once its end is recorded.
    async fn pass_on(self, began: Instant, head: AnswerHead, mut response: reqwest::Response) {
        let transcript = Arc::clone(&self.occurrence.transcript);
        let mut received = self.receive(&head);
        // A document is of no use before its end, and has its length in its head.
        let mut document_head = Some(head).filter(|_| received.is_held);
        if document_head.is_none() {
            transcript.begin(received.head());
        }
        let is_held_stream = received.holds_all && received.shape == AnswerShape::EventStream;
        let held_head = received.head();
        let broken_off = tokio::select! {
            broken_off = self.read(&mut received, began, &mut response) => broken_off,
            () = transcript.abandoned_for(bounds::READ_ON) => Some(BrokenOff::Abandoned),
            () = tokio::time::sleep(bounds::CALL_TIME) => Some(BrokenOff::TooLong),
            () = self.door.drained() => Some(BrokenOff::Abandoned),
            never = keep_alive(&transcript, &held_head, keep_alive::INTERVAL), if is_held_stream => match never {},
        };
        if transcript.has_begun() {
            document_head = None;
        }
        let held = received.finish(&self, began);
        let times = CallTimes { took: began.elapsed(), first_content: received.first_content };
        let usage = self.tried().with(&received.answer, times).event();
        let seen = received.holds_all.then(|| received.seen(self.call.format));
        let mut result = received.into_result(broken_off.as_ref());
        let is_whole = broken_off.is_none();
        let mut held = held;
        if let (Some(seen), ModelCallResult::Completed(_)) = (seen, &result)
            && let Some(replaced) = self.replaced(&seen).await
        {
            if transcript.has_begun() {
                held = replaced.event.to_vec();
            } else {
                (document_head, held) = (Some(replaced.head), replaced.body.to_vec());
            }
            result = replaced.result;
        }
        match self.ended(usage, result).await {
            Ok(()) if is_whole => {
                if let Some(mut head) = document_head.take() {
                    head.headers.insert(CONTENT_LENGTH, held.len().into());
                    transcript.begin(head);
                }
                transcript.push(held.into());
                transcript.end(AnswerEnd::Whole);
            }
            Ok(()) | Err(_) => transcript.end(AnswerEnd::Cut),
        }
    }

    /// Asks the policies about a whole answer; `None`: the agent gets it.
    async fn replaced(&self, seen: &SeenAnswer) -> Option<ReplacedAnswer> {
        let answered = AnsweredCall {
            key: &self.key,
            provider: self.current.provider.name.as_str(),
            model: self.current.model.as_deref(),
        };
        decided::replaced(self.door.backend(), self.shape, answered, seen).await
    }

    fn receive(&self, head: &AnswerHead) -> Received {
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let shape = AnswerShape::of(&self.call, content_type);
        let holds_all = self.door.backend().holds_answers();
        let is_stream = match shape {
            AnswerShape::EventStream | AnswerShape::JsonArray => true,
            AnswerShape::Whole => false,
        };
        Received {
            status: head.status,
            headers: head.headers.clone(),
            body: Vec::new(),
            pieces: Vec::new(),
            answer: ModelAnswer::default(),
            first_content: None,
            held: Vec::new(),
            // A document is of no use before its end.
            is_held: !is_stream || holds_all,
            holds_all,
            shape,
            filter: (self.current.drops_usage && is_stream).then(UsageChunkFilter::default),
            decoder: AnswerDecoder::new(self.call.format, shape),
        }
    }

    /// Reads the answer to its end.
    async fn read(
        &self,
        received: &mut Received,
        began: Instant,
        response: &mut reqwest::Response,
    ) -> Option<BrokenOff> {
        loop {
            let chunk = if received.answer.end.is_some() {
                match tokio::time::timeout(bounds::AFTER_END, response.chunk()).await {
                    Ok(chunk) => chunk,
                    // Everything that matters was received.
                    Err(_) => return None,
                }
            } else {
                response.chunk().await
            };
            match chunk {
                Ok(Some(bytes)) => {
                    let Burst { bytes, error } = Burst::collect(bytes, response).await;
                    if received.body.len() + bytes.len() > bounds::ANSWER_BYTES {
                        return Some(BrokenOff::TooLarge);
                    }
                    let passed = received.take(&bytes, began.elapsed());
                    self.occurrence.transcript.push(passed);
                    if let Some(error) = error.filter(|_| received.answer.end.is_none()) {
                        return Some(BrokenOff::Provider(tries::chain(&error)));
                    }
                }
                Ok(None) => return None,
                Err(_) if received.answer.end.is_some() => return None,
                Err(error) => return Some(BrokenOff::Provider(tries::chain(&error))),
            }
        }
    }

    /// Records the end of the call.
    async fn ended(
        &self,
        usage: Option<serde_json::Map<String, Value>>,
        result: ModelCallResult,
    ) -> Result<(), Refusal> {
        let is_completed = matches!(result, ModelCallResult::Completed(_));
        let (request, result) = self.sampled.sampled(result);
        let end = ModelCallEnd {
            key: self.key.clone(),
            reservation_id: self.reservation_id.clone(),
            request,
            usage,
            result,
        };
        let recorded = self.door.backend().end_model_call(end).await;
        if is_completed && recorded.is_ok() {
            self.door.ledger().completed(&self.occurrence);
        } else {
            self.door.ledger().failed(&self.occurrence);
        }
        recorded
    }
}

impl Received {
    /// Returns the answer as policies see it.
    fn seen(&self, format: WireFormat) -> SeenAnswer {
        let is_stream = self.shape != AnswerShape::Whole;
        let whole = (self.head(), self.body.as_slice(), is_stream);
        SeenAnswer::of(format, &self.answer, whole)
    }

    fn head(&self) -> AnswerHead {
        AnswerHead { status: self.status, headers: self.headers.clone() }
    }

    /// Takes in the next bytes. Returns those that the client gets at once.
    fn take(&mut self, bytes: &Bytes, at: Duration) -> Bytes {
        self.body.extend_from_slice(bytes);
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.pieces.push((at_ms, bytes.len() as u64));
        let mut events = Vec::new();
        self.decoder.push(bytes, &mut events);
        self.note(&events, at);
        let passed = match &mut self.filter {
            Some(filter) => {
                let mut kept = Vec::with_capacity(bytes.len());
                filter.push(bytes, &mut |part| kept.extend_from_slice(part));
                Bytes::from(kept)
            }
            None => bytes.clone(),
        };
        if self.is_held {
            self.held.extend_from_slice(&passed);
            return Bytes::new();
        }
        passed
    }

    fn note(&mut self, events: &[DecodedEvent], at: Duration) {
        for decoded in events {
            let is_content = match &decoded.event {
                WireEvent::Text(_)
                | WireEvent::Reasoning(_)
                | WireEvent::ToolUseBegin { .. }
                | WireEvent::ToolUse(_) => true,
                WireEvent::Start { .. }
                | WireEvent::Counted { .. }
                | WireEvent::Usage(_)
                | WireEvent::End(_)
                | WireEvent::Error(_) => false,
            };
            if is_content && self.first_content.is_none() {
                self.first_content = Some(at);
            }
            self.answer.apply(&decoded.event);
        }
        // The last events of a stream come together; they are handed on once they are recorded.
        self.is_held |= self.answer.end.is_some();
    }

    /// Ends the answer. Returns the bytes that the client has not got yet.
    fn finish(&mut self, pump: &Pump, began: Instant) -> Vec<u8> {
        let mut events = Vec::new();
        let format = pump.call.format;
        let idle = AnswerDecoder::new(WireFormat::Opaque, AnswerShape::Whole);
        std::mem::replace(&mut self.decoder, idle).finish(&mut events);
        let at = if format.is_generation() { began.elapsed() } else { Duration::ZERO };
        self.note(&events, at);
        let mut held = std::mem::take(&mut self.held);
        if let Some(filter) = self.filter.take() {
            filter.finish(&mut |part| held.extend_from_slice(part));
        }
        held
    }

    /// Returns the result of the call.
    fn into_result(self, broken_off: Option<&BrokenOff>) -> ModelCallResult {
        let incomplete = |message: String| {
            ModelCallResult::Failed(Failure::new(ErrorCode::ModelAnswerIncomplete, message))
        };
        if let Some(broken_off) = broken_off {
            return incomplete(broken_off.to_string());
        }
        if let Some(error) = &self.answer.error {
            return incomplete(error.to_string());
        }
        if self.answer.end == Some(EndReason::Cut) {
            return incomplete("the answer ended before the model did".to_owned());
        }
        let pieces =
            if self.filter.is_some() || self.pieces.len() > 1 { self.pieces } else { Vec::new() };
        let answer = RecordedAnswer::new(self.status.as_u16(), &self.headers, self.body, pieces);
        let output = Some(answer.into_payload());
        ModelCallResult::Completed(StepCallResult { output, stderr: None })
    }
}

/// Characters of a provider's error in the failure of a step.
const EXCERPT_CHARS: usize = 500;
