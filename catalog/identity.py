"""Who a picture is: canonical address, provider's own key and uuid, as SQL macros.

Canonical address: http for https, lower-case host, no default port, no fragment, and the size
variants of one original (iNaturalist, IIIF, Flickr, MCZbase) brought to one form. The uuid is RFC 9562
version 5 over `source, record_key, canonical address, crop` joined by the unit separator.
"""

from __future__ import annotations

import uuid

from catalog.schema import NS

SEPARATOR = "\x1f"

MACROS = r"""
create or replace macro word(value) as
  nullif(trim(value, ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '');

create or replace macro plain_url(address) as
  word(regexp_replace(
    lower(regexp_extract(
      regexp_replace(word(address), '^[hH][tT][tT][pP][sS]?://', 'http://'),
      '^http://[^/?#]*'))
    || regexp_replace(
         regexp_replace(word(address), '^[hH][tT][tT][pP][sS]?://[^/?#]*', ''), '#(?s:.*)$', ''),
    '^(http://[^/?:]*):(80|443)([/?]|$)', '\1\3'));

create or replace macro canonical_url(address) as
  case when regexp_matches(word(address), '^[hH][tT][tT][pP][sS]?://') then
    list_transform([plain_url(address)], lambda u:      -- a lambda names the plain address once
      case
        when contains(u, 'inaturalist') and regexp_matches(u, '^http://[^/]*inaturalist[^/]*/photos/[0-9]+/')
          then regexp_replace(u,
            '/photos/([0-9]+)/(square|thumb|small|medium|large|original)\.([A-Za-z]*).*$',
            '/photos/\1/original.\3')
        when contains(u, '/0/default.') and regexp_matches(u, '/full/[^/]+/0/default\.[a-z]+$')
          then regexp_replace(u, '/full/[^/]+/0/default\.([a-z]+)$', '/full/max/0/default.\1')
        when contains(u, '/specimen_images/') then replace(u, '/thumbnails/', '/large/')
        when contains(u, 'flickr.com/') and regexp_matches(u, '^http://[^/]*(staticflickr|flickr)\.com/')
          then regexp_replace(u,
            '/([0-9]+_[0-9a-f]+)_(s|q|t|m|n|w|z|c|b|h|k)\.(jpg|png|gif)$', '/\1.\3')
        else u
      end)[1]
  else word(address) end;

create or replace macro picture_address(identifier, archive) as   -- a path is one inside its archive
  case when regexp_matches(word(identifier), '^[hH][tT][tT][pP][sS]?://') then canonical_url(identifier)
       else 'file:' || archive || '/' || word(identifier) end;

create or replace macro provider_key_of(address) as
  case
    when regexp_matches(address, 'inaturalist[^/]*/photos/[0-9]+/') then
      'inaturalist:' || regexp_extract(address, '/photos/([0-9]+)/', 1)
    when regexp_matches(address, '(staticflickr|flickr)\.com/([0-9]+/)+[0-9]+_[0-9a-f]+') then
      'flickr:' || regexp_extract(address, '/([0-9]+)_[0-9a-f]+[^/]*$', 1)
    when regexp_matches(address, 'upload\.wikimedia\.org/wikipedia/commons/') then
      'commons:' || regexp_extract(address,
        '/commons/(thumb/)?[0-9a-f]/[0-9a-f]{2}/([^/?]+)', 2)
  end;

create or replace macro uuid5_of(text) as      -- a lambda names the hash; a subquery would join the table
  list_transform([sha1('NAMESPACE'::blob || encode(text))], lambda h:
    h[1:8] || '-' || h[9:12] || '-5' || h[14:16] || '-'
    || substr('89ab89ab89ab89ab', strpos('0123456789abcdef', h[17]), 1) || h[18:20]
    || '-' || h[21:32])[1];

create or replace macro picture_uuid(source, record_key, url, crop) as
  uuid5_of(source || chr(31) || record_key || chr(31) || url || chr(31) || coalesce(crop, ''));
""".replace("NAMESPACE", "".join(f"\\x{byte:02x}" for byte in NS.bytes))


def picture_uuid(source: str, record_key: str, url: str, crop: str = "") -> str:
    """The uuid of a picture; `url` is canonical. The twin of the SQL macro of the same name."""
    return str(uuid.uuid5(NS, SEPARATOR.join((source, record_key, url, crop))))
