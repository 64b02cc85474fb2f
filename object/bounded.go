package object

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// maxAnswer is what a store's answer may have that its library keeps in memory: a page of a list
// has 1,000 keys of at most 1,024 bytes, each of which may be escaped.
const maxAnswer = 64 << 20

// boundedClient sends requests of AWS's library.
type boundedClient struct{ aws.HTTPClient }

func (c boundedClient) Do(r *http.Request) (*http.Response, error) {
	response, err := c.HTTPClient.Do(r)
	return bounded(r.URL, response), err
}

// boundedTransport sends requests of Google's library.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	return bounded(r.URL, response), err
}

// bounded ends an answer that is no object where it is too large: its bytes beyond are an error.
func bounded(u *url.URL, response *http.Response) *http.Response {
	query := u.Query()
	list := query.Has("list-type") ||
		strings.HasPrefix(u.Path, "/storage/v1/") && query.Get("alt") != "media"
	if response != nil && (list || response.StatusCode >= http.StatusMultipleChoices) {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response
}
