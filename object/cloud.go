package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"google.golang.org/api/googleapi"
)

// What the clouds' own libraries say differs from one to the other; this file reads it.

// version is that of what the library's As converts: an answer, attributes, an entry of a list.
func version(as func(any) bool) string {
	var got s3.GetObjectOutput
	var head s3.HeadObjectOutput
	var entry types.Object
	var reader *storage.Reader
	var attributes storage.ObjectAttrs
	var download azblob.DownloadStreamResponse
	var properties azblob.GetPropertiesResponse
	var item container.BlobItem
	switch {
	case as(&got):
		return text(got.ETag)
	case as(&head):
		return text(head.ETag)
	case as(&entry):
		return text(entry.ETag)
	case as(&reader):
		return strconv.FormatInt(reader.Attrs.Generation, 10)
	case as(&attributes):
		return strconv.FormatInt(attributes.Generation, 10)
	case as(&download):
		return strings.Trim(text(download.ETag), `"`)
	case as(&properties):
		return strings.Trim(text(properties.ETag), `"`)
	case as(&item) && item.Properties != nil:
		return strings.Trim(text(item.Properties.ETag), `"`)
	}
	return ""
}

func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// answer is the store's own word for what is wrong, as NoSuchKey, and the status of HTTP; both are
// empty where there was no answer.
func answer(err error) (code string, status int) {
	var aws smithy.APIError
	var awsResponse *awshttp.ResponseError
	var google *googleapi.Error
	var azure *azcore.ResponseError
	switch {
	case errors.Is(err, storage.ErrBucketNotExist):
		return noBucketCode, http.StatusNotFound
	case errors.Is(err, storage.ErrObjectNotExist):
		return "NotFound", http.StatusNotFound
	case errors.As(err, &google):
		code := http.StatusText(google.Code)
		if google.Code == http.StatusNotFound && strings.Contains(google.Message, "bucket") {
			code = noBucketCode
		}
		return code, google.Code
	case errors.As(err, &azure):
		return azure.ErrorCode, azure.StatusCode
	}
	if errors.As(err, &awsResponse) {
		status = awsResponse.HTTPStatusCode()
	}
	if errors.As(err, &aws) {
		code = aws.ErrorCode()
	}
	return code, status
}

const (
	noBucketCode = "NoSuchBucket"
	noObject     = "there is no such object"
)

// credentialCodes are of a request that no other key would make right.
var credentialCodes = map[string]bool{
	"InvalidAccessKeyId": true, "SignatureDoesNotMatch": true, "ExpiredToken": true,
	"InvalidToken": true, "AuthorizationHeaderMalformed": true, "TokenRefreshRequired": true,
	"RequestTimeTooSkewed": true, "AuthenticationFailed": true, "InvalidAuthenticationInfo": true,
	"PermanentRedirect": true, "Unauthorized": true,
}

// fault is the error of an object for what the library says, or that of the store.
func (b *bucket) fault(path string, err error) error {
	if err == nil {
		return nil
	}
	code, status := answer(err)
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case code == noBucketCode || code == "ContainerNotFound":
		return &StoreError{b.name, fmt.Errorf("there is no such bucket (%s)", code)}
	case credentialCodes[code] || status == http.StatusUnauthorized:
		return &StoreError{b.name, fmt.Errorf("the store refuses the credentials or the region "+
			"(%s): set those that this bucket takes", code)}
	case status == http.StatusNotFound || status == 0 && code == "NoSuchKey":
		return &Error{path, noObject, fs.ErrNotExist}
	case status == http.StatusForbidden:
		return &Error{path, fmt.Sprintf("the store denies it (%s)", code), fs.ErrPermission}
	case status == http.StatusPreconditionFailed || status == http.StatusConflict:
		return &Error{path, "it is there already", fs.ErrExist}
	case isTemporaryStatus(status):
		return temporary{error: &StoreError{b.name, fmt.Errorf("the store answers %d %s for "+
			"longer than is waited; the same command goes on later", status, code)}}
	case status >= http.StatusMultipleChoices:
		return &Error{path, fmt.Sprintf("the store answers %d %s", status, code), nil}
	}
	reason, again := networkReason(err)
	err = &StoreError{b.name, errors.New(reason)}
	if again {
		return temporary{error: err}
	}
	return err
}
