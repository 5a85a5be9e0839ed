"""Which rendition of a picture is asked for, where its server offers several sizes.

`sized_address(address, size)`: iNaturalist's medium (500 px) and large (1,024 px), the same boxes at
IIIF servers (https://iiif.io/api/image), Flickr's unmarked (500 px) and `_b` (1,024 px; its
original and larger ones have names of their own and stay as given). Other
addresses, and sizes that a server does not offer by name, stay as they were given.
"""

MACROS = r"""
create or replace macro sized_address(address, size) as
  case
    when size = 'as_given' then address
    when regexp_matches(address, '^[hH][tT][tT][pP][sS]?://[^/]*inaturalist[^/]*/photos/[0-9]+/[a-z]+\.') then
      regexp_replace(address, '(/photos/[0-9]+)/(square|thumb|small|medium|large|original)\.',
                     '\1/' || size || '.')
    when size = 'original' then address
    when regexp_matches(address, '/full/[^/]+/0/default\.[a-z]+$') then
      regexp_replace(address, '/full/[^/]+/0/default\.([a-z]+)$',
        '/full/' || case size when 'medium' then '!500,500' else '!1024,1024' end || '/0/default.\1')
    when regexp_matches(address, '^[hH][tT][tT][pP][sS]?://[^/]*(staticflickr|flickr)\.com/') then
      regexp_replace(address, '/([0-9]+_[0-9a-f]+)(_[sqtmnzcb])?\.(jpg|png|gif)$',
        '/\1' || case size when 'medium' then '' else '_b' end || '.\3')
    else address
  end;
"""
