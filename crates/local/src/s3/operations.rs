//! The operations of S3, each one on the store.

use std::io;
use std::time::SystemTime;

use http::HeaderMap;
#[allow(clippy::wildcard_imports, reason = "the inputs, outputs and members of some twenty operations")]
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::digest::{Checksums, Expected, Hasher, given_checksums, hex, set_checksums};
use super::events::ObjectCreated;
use super::multipart::{Completion, Upload, check_part_number, copy_hashed};
use super::names::url_encode;
use super::pages::{ListQuery, page_limit, signed};
use super::read_condition::ReadCondition;
use super::server::{Server, stream};
use super::store::{Attributes, Condition, Record, Store, internal};

/// Moves the attributes out of a request that writes.
macro_rules! attributes {
    ($input:expr) => {
        Attributes {
            content_type: $input.content_type,
            content_encoding: $input.content_encoding.as_deref().and_then(without_aws_chunked),
            content_disposition: $input.content_disposition,
            content_language: $input.content_language,
            cache_control: $input.cache_control,
            expires: $input.expires,
            website_redirect_location: $input.website_redirect_location,
            metadata: $input.metadata.unwrap_or_default().into_iter().collect(),
        }
    };
}

/// Fills the fields that the answers of GET and HEAD share.
macro_rules! describe {
    ($output:expr, $record:expr) => {
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some($record.etag());
        $output.last_modified = Some($record.modified());
        let attributes = $record.attributes;
        // S3 answers with this type for an object without one.
        $output.content_type = Some(attributes.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.content_encoding = attributes.content_encoding;
        $output.content_disposition = attributes.content_disposition;
        $output.content_language = attributes.content_language;
        $output.cache_control = attributes.cache_control;
        $output.expires = attributes.expires;
        $output.website_redirect_location = attributes.website_redirect_location;
        $output.metadata = (!attributes.metadata.is_empty()).then(|| attributes.metadata.into_iter().collect());
    };
}

/// Collects what a request announces about its body.
macro_rules! expected {
    ($input:expr, $headers:expr) => {{
        let mut expected = Expected {
            checksums: given_checksums!($input),
            content_md5: $input.content_md5.clone(),
            length_bytes: $input.content_length.and_then(|length| u64::try_from(length).ok()),
            ..Expected::default()
        };
        expected.announce($input.checksum_algorithm.as_ref().map(|algorithm| algorithm.as_str()), $headers)?;
        expected
    }};
}

/// Removes `aws-chunked`: it describes the request, not the object. S3 removes it too.
fn without_aws_chunked(encoding: &str) -> Option<String> {
    let kept: Vec<_> = encoding.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "aws-chunked")).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

#[allow(clippy::unnecessary_wraps, reason = "the last expression of every operation")]
fn done<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

#[async_trait::async_trait]
impl S3 for Server {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let location = format!("/{}", req.input.bucket);
        if !self.on_disk(move |store| store.create_bucket(&req.input.bucket)).await? {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "The bucket you tried to create exists, and you own it."));
        }
        done(CreateBucketOutput { location: Some(location) })
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.on_disk(move |store| store.delete_bucket(&req.input.bucket)).await?;
        done(DeleteBucketOutput {})
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.on_disk(move |store| store.check_bucket(&req.input.bucket)).await?;
        done(HeadBucketOutput::default())
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.on_disk(Store::buckets).await?.into_iter().map(|(name, created)| Bucket {
            name: Some(name),
            creation_date: Some(Timestamp::from(created)),
            ..Default::default()
        });
        done(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.on_disk(move |store| store.check_bucket(&req.input.bucket)).await?;
        done(GetBucketLocationOutput::default())
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.on_disk(move |store| store.check_bucket(&req.input.bucket)).await?;
        done(GetBucketVersioningOutput::default())
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput {
            bucket, key, range, if_match, if_none_match, if_modified_since, if_unmodified_since, ..
        } = req.input;
        let (record, file) = self.on_disk(move |store| store.open_object(&bucket, &key)).await?;
        ReadCondition { if_match, if_none_match, if_modified_since, if_unmodified_since }.check(&record)?;

        let size = record.size_bytes;
        let part = match &range {
            Some(range) => range.check(size).map_err(|_| unsatisfiable(size))?,
            None => 0..size,
        };
        let mut output = GetObjectOutput {
            content_length: signed(part.end - part.start),
            content_range: range.map(|_| format!("bytes {}-{}/{size}", part.start, part.end - 1)),
            ..Default::default()
        };
        // The checksums are those of the whole object. S3 omits them from the answer to a range.
        if part == (0..size) {
            set_checksums!(output, record.checksums);
        }
        describe!(output, record);
        output.body = Some(stream(file, part).await?);
        done(output)
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, if_match, if_none_match, if_modified_since, if_unmodified_since, .. } =
            req.input;
        let record = self.on_disk(move |store| store.head(&bucket, &key)).await?;
        ReadCondition { if_match, if_none_match, if_modified_since, if_unmodified_since }.check(&record)?;
        let mut output = HeadObjectOutput { content_length: signed(record.size_bytes), ..Default::default() };
        set_checksums!(output, record.checksums);
        describe!(output, record);
        done(output)
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let GetObjectTaggingInput { bucket, key, .. } = req.input;
        self.on_disk(move |store| store.head(&bucket, &key)).await?;
        done(GetObjectTaggingOutput::default())
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        // Checked before the body is read, so that no body is transferred to a bucket that does not exist.
        let bucket = input.bucket.clone();
        self.on_disk(move |store| store.check_bucket(&bucket)).await?;

        let expected = expected!(input, &req.headers);
        let (from, _, digests) = self.spool(input.body.take(), expected, req.trailing_headers).await?;
        let condition = Condition { if_match: input.if_match, if_none_match: input.if_none_match };
        let record = Record {
            key: input.key,
            etag: hex(&digests.md5),
            checksums: digests.checksums,
            attributes: attributes!(input),
            ..Record::default()
        };
        let record = self
            .write("Put", input.bucket, move |store, bucket| store.commit(bucket, from, record, &condition))
            .await?;
        let mut output = PutObjectOutput { e_tag: Some(record.etag()), ..Default::default() };
        set_checksums!(output, record.checksums);
        done(output)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let (from_bucket, from_key) = source(&input.copy_source)?;
        let condition = ReadCondition {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        let replaces = input.metadata_directive.is_some_and(|directive| directive.as_str() == "REPLACE");
        let attributes = attributes!(input);
        let key = input.key;
        let copy = move |store: &Store, bucket: &str| {
            let (mut record, mut file) = store.open_object(&from_bucket, &from_key)?;
            // A copy never answers 304: every failed condition is a failed precondition.
            condition.check(&record).map_err(|_| s3_error!(PreconditionFailed, "The copy's condition did not hold"))?;
            let temporary = store.temporary();
            temporary.create().and_then(|mut to| io::copy(&mut file, &mut to)).map_err(internal)?;
            record.key = key;
            record.upload_id = None;
            if replaces {
                record.attributes = attributes;
            }
            store.commit(bucket, temporary, record, &Condition::default())
        };
        let record = self.write("Copy", input.bucket, copy).await?;
        let mut result = CopyObjectResult {
            e_tag: Some(record.etag()),
            last_modified: Some(record.modified()),
            ..Default::default()
        };
        set_checksums!(result, record.checksums);
        done(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, if_match, .. } = req.input;
        let condition = Condition { if_match, if_none_match: None };
        self.on_disk(move |store| store.delete(&bucket, &key, &condition)).await?;
        done(DeleteObjectOutput::default())
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        self.on_disk({
            let bucket = bucket.clone();
            move |store| store.check_bucket(&bucket)
        })
        .await?;
        for object in delete.objects {
            let (bucket, key) = (bucket.clone(), object.key.clone());
            match self.on_disk(move |store| store.delete(&bucket, &key, &Condition::default())).await {
                Ok(()) => deleted.push(DeletedObject { key: Some(object.key), ..Default::default() }),
                Err(error) => errors.push(Error {
                    key: Some(object.key),
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    ..Default::default()
                }),
            }
        }
        let is_quiet = delete.quiet.unwrap_or(false);
        done(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..Default::default()
        })
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let after = input.continuation_token.clone().or_else(|| input.start_after.clone());
        let page = self
            .list(ListQuery {
                bucket: input.bucket.clone(),
                prefix: input.prefix.clone(),
                delimiter: input.delimiter.clone(),
                after,
                limit: input.max_keys,
                encoding: input.encoding_type.clone(),
            })
            .await?;
        done(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(page.encode(&input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|delimiter| page.encode(&delimiter)),
            start_after: input.start_after.map(|after| page.encode(&after)),
            max_keys: Some(page.limit),
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next.is_some()),
            continuation_token: input.continuation_token,
            next_continuation_token: page.next,
            encoding_type: input.encoding_type,
            contents: Some(page.objects),
            common_prefixes: Some(page.prefixes),
            ..Default::default()
        })
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let page = self
            .list(ListQuery {
                bucket: input.bucket.clone(),
                prefix: input.prefix.clone(),
                delimiter: input.delimiter.clone(),
                after: input.marker.clone(),
                limit: input.max_keys,
                encoding: input.encoding_type.clone(),
            })
            .await?;
        done(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(page.encode(&input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|delimiter| page.encode(&delimiter)),
            marker: Some(page.encode(&input.marker.unwrap_or_default())),
            max_keys: Some(page.limit),
            is_truncated: Some(page.next.is_some()),
            next_marker: page.next.as_deref().map(|next| page.encode(next)),
            encoding_type: input.encoding_type,
            contents: Some(page.objects),
            common_prefixes: Some(page.prefixes),
            ..Default::default()
        })
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let upload = Upload { bucket: input.bucket, key: input.key, attributes: attributes!(input) };
        let id = self.on_disk(move |store| store.begin_upload(&upload)).await?;
        done(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        })
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let mut input = req.input;
        check_part_number(input.part_number)?;
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        self.on_disk(move |store| store.upload(&bucket, &key, &id)).await?;

        let expected = expected!(input, &req.headers);
        let (from, size, digests) = self.spool(input.body.take(), expected, req.trailing_headers).await?;
        let part =
            self.on_disk(move |store| store.put_part(&input.upload_id, input.part_number, from, size, digests)).await?;
        let mut output = UploadPartOutput { e_tag: Some(part.etag()), ..Default::default() };
        set_checksums!(output, part.checksums);
        done(output)
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        check_part_number(input.part_number)?;
        let (from_bucket, from_key) = source(&input.copy_source)?;
        let part = self
            .on_disk(move |store| {
                store.upload(&input.bucket, &input.key, &input.upload_id)?;
                let (record, mut file) = store.open_object(&from_bucket, &from_key)?;
                let range = copied_range(input.copy_source_range.as_deref(), record.size_bytes)?;
                io::Seek::seek(&mut file, io::SeekFrom::Start(range.start)).map_err(internal)?;
                let mut from = io::Read::take(file, range.end - range.start);
                let temporary = store.temporary();
                let mut to = temporary.create().map_err(internal)?;
                let mut hasher = Hasher::new(&Expected::default())?;
                let size = copy_hashed(&mut from, &mut to, &mut hasher).map_err(internal)?;
                store.put_part(&input.upload_id, input.part_number, temporary, size, hasher.finish())
            })
            .await?;
        let result = CopyPartResult {
            e_tag: Some(part.etag()),
            last_modified: Some(Timestamp::from(SystemTime::now())),
            ..Default::default()
        };
        done(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() })
    }

    async fn list_parts(&self, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput { bucket, key, upload_id, max_parts, part_number_marker, .. } = req.input;
        let (of_bucket, of_key, id) = (bucket.clone(), key.clone(), upload_id.clone());
        let mut parts = self
            .on_disk(move |store| {
                store.upload(&of_bucket, &of_key, &id)?;
                store.parts(&id)
            })
            .await?;
        let after = part_number_marker.unwrap_or(0);
        parts.retain(|(number, ..)| *number > after);
        let limit = page_limit("max-parts", max_parts)?;
        let is_truncated = parts.len() > limit;
        parts.truncate(limit);
        let last = parts.last().map(|(number, ..)| *number);
        let parts = parts.into_iter().map(|(number, part, at)| {
            let mut output = Part {
                part_number: Some(number),
                e_tag: Some(part.etag()),
                size: signed(part.size_bytes),
                last_modified: Some(Timestamp::from(at)),
                ..Default::default()
            };
            set_checksums!(output, part.checksums);
            output
        });
        done(ListPartsOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(upload_id),
            parts: Some(parts.collect()),
            is_truncated: Some(is_truncated),
            max_parts: i32::try_from(limit).ok(),
            part_number_marker: Some(after),
            next_part_number_marker: last.filter(|_| is_truncated),
            ..Default::default()
        })
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput { bucket, prefix, .. } = req.input;
        let (of_bucket, wanted) = (bucket.clone(), prefix.clone().unwrap_or_default());
        let uploads = self.on_disk(move |store| store.open_uploads(&of_bucket)).await?;
        let uploads =
            uploads.into_iter().filter(|(key, ..)| key.starts_with(&wanted)).map(|(key, id, begun)| MultipartUpload {
                key: Some(key),
                upload_id: Some(id),
                initiated: Some(Timestamp::from(begun)),
                ..Default::default()
            });
        done(ListMultipartUploadsOutput {
            bucket: Some(bucket),
            prefix,
            uploads: Some(uploads.collect()),
            is_truncated: Some(false),
            ..Default::default()
        })
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let completion = Completion {
            parts: parts.into_iter().map(chosen).collect::<S3Result<_>>()?,
            condition: Condition { if_match: input.if_match, if_none_match: input.if_none_match },
            expected: Expected { checksums: whole_checksums(given_checksums!(input)), ..Expected::default() },
        };
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id);
        let on_created = self.on_created.clone();
        let record = self
            .on_disk(move |store| {
                let (record, is_new) = store.complete_upload(&bucket, &key, &id, completion)?;
                if let Some(on_created) = on_created.filter(|_| is_new) {
                    on_created(ObjectCreated::new("CompleteMultipartUpload", bucket, &record));
                }
                Ok(record)
            })
            .await?;
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, url_encode(&input.key))),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(record.etag()),
            ..Default::default()
        };
        set_checksums!(output, record.checksums);
        done(output)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = req.input;
        self.on_disk(move |store| store.abort_upload(&bucket, &key, &upload_id)).await?;
        done(AbortMultipartUploadOutput::default())
    }
}

/// Returns the number and the `ETag` of a part that a completion names.
fn chosen(part: CompletedPart) -> S3Result<(i32, Option<ETag>)> {
    let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML, "A part has no PartNumber"))?;
    Ok((number, part.e_tag))
}

fn unsatisfiable(size_bytes: u64) -> s3s::S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    // Digits are always a valid header value.
    if let Ok(value) = format!("bytes */{size_bytes}").parse() {
        error.set_headers(HeaderMap::from_iter([(http::header::CONTENT_RANGE, value)]));
    }
    error
}

fn source(source: &CopySource) -> S3Result<(String, String)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket.to_string(), key.to_string())),
        _ => Err(s3_error!(NotImplemented, "The embedded S3 copies only from its own buckets")),
    }
}

fn copied_range(header: Option<&str>, size_bytes: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(header) = header else { return Ok(0..size_bytes) };
    let range = Range::parse(header)
        .map_err(|_| s3_error!(InvalidArgument, "Expected a range of bytes such as bytes=0-99, found {header}"))?;
    range.check(size_bytes).map_err(|_| unsatisfiable(size_bytes))
}

/// Removes checksums of checksums (`…-<parts>`): they do not describe the bytes of the whole object.
fn whole_checksums(given: Checksums) -> Checksums {
    given.into_iter().filter(|(_, value)| !value.contains('-')).collect()
}
